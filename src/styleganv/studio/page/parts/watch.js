// Watching trainings: the page of all runs, that of a run, and their dialogs.

import { documentation } from "./findings.js";
import { confirmation } from "./run_control.js";
import { runPage } from "./run.js";
import { runsButton, runsPage } from "./runs.js";

export const watch = [runsButton, runsPage, runPage, documentation, confirmation];
