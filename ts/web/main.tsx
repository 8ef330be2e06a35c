// Where the page begins in the browser.

import { render } from "preact";
import { App } from "./app.tsx";
import { listen } from "./navigate.ts";
import { start } from "./store.ts";
import "./app.css";

listen();
void start();
render(<App />, document.getElementById("page")!);
