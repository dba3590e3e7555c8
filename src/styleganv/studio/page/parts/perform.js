// The parts of the tab Perform, and what listens while another tab is open.

import { keepAudioSettings } from "../perform/audio.js";
import { followLearning } from "../perform/learning.js";
import { keepMappings } from "../perform/mappings.js";
import { reconnectMidi } from "../perform/midi.js";
import { followMirrors } from "../perform/mirrors.js";
import { followOsc } from "../perform/osc.js";
import { audio } from "./audio.js";
import { controllerList } from "./controllers.js";
import { mappingList } from "./mappings.js";
import { recording, secondWindow } from "./output.js";

keepMappings();
keepAudioSettings();
followLearning();
followMirrors();
followOsc();
reconnectMidi();

export const PERFORM = [mappingList, controllerList, audio, secondWindow, recording];
