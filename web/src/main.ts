import "$ui/tokens.css";
import "$ui/base.css";
import { mount } from "svelte";
import App from "./App.svelte";

const target = document.getElementById("app");
if (target === null) throw new Error("index.html holds no element with the id `app`");
mount(App, { target });
