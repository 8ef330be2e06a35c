// Where the page begins in the browser.

import { render } from "preact";
import { App } from "./app.tsx";
import { followMoment } from "./moment.ts";
import { listen } from "./navigate.ts";
import { start } from "./store.ts";
import "./app.css";
import "./board.css";

listen();
void start();
followMoment();
render(<App />, document.getElementById("page")!);
