// The entry: everything listens on the document, so that swapped fragments need no set-up of their own.

import * as canvas from "./canvas.js";
import * as copy from "./copy.js";
import * as dialogs from "./dialogs.js";
import * as fields from "./fields.js";
import * as live from "./live.js";
import * as menus from "./menus.js";
import * as network from "./network.js";
import * as outlines from "./outlines.js";
import * as panel from "./panel.js";
import * as rules from "./rules.js";
import * as steps from "./steps.js";
import * as submit from "./submit.js";
import * as tabs from "./tabs.js";
import * as theme from "./theme.js";
import * as toasts from "./toasts.js";
import { text } from "./texts.js";

submit.start();
dialogs.start();
panel.start();
toasts.start();
menus.start();
fields.start();
live.start();
network.start();
outlines.start();
copy.start();
tabs.start();
theme.start();
rules.start();
steps.start();
canvas.start({
  ask: (body) => dialogs.confirm({ title: text("deleteTitle"), body, label: text("delete"), deletes: true }),
  isChanged: panel.isChanged,
  discard: panel.discard,
});
