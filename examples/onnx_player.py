"""Two seconds of a model exported by `styleganv export MODEL mine.onnx`, with numpy and onnxruntime only.

python onnx_player.py mine.onnx frames.npy    # uint8 [T, H, W, 3]
"""

import sys

import numpy as np
import onnxruntime

path, out = sys.argv[1:]
mapping, video = (onnxruntime.InferenceSession(each) for each in (path.replace(".onnx", "-mapping.onnx"), path))
facts, random = video.get_modelmeta().custom_metadata_map, np.random.default_rng(0)
size = {each.name: each.shape[-1] for each in (*mapping.get_inputs(), *video.get_inputs())}
label = {"label": np.eye(1, size["label"], dtype=np.float32)} if "label" in size else {}  # class 0
z = random.standard_normal((1, size["z"]), np.float32)
styles = mapping.run(None, {"z": z, "psi": np.full(1, 0.8, np.float32)} | label)[0]
times = np.arange(2 * float(facts["fps"]))[None]  # in frames
slots = int(times.max() // float(facts["slot_distance"])) + int(facts["window_slots"])
noise = random.standard_normal((1, slots, size["motion_noise"]), np.float32)
inputs = {"styles": styles, "times": times, "motion_noise": noise, "first_slot": np.zeros(1, np.int64)} | label
frames = video.run(None, inputs)[0][0].transpose(0, 2, 3, 1)
np.save(out, (frames * 127.5 + 127.5).round().clip(0, 255).astype(np.uint8))
