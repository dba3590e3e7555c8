"""Motion diagnostics: how videos move, measured clip by clip, rated, and shown as one HTML page.

`diagnostics.DIAGNOSTICS` is the table of all diagnostics; a new one needs one entry there and nothing else.
"""
