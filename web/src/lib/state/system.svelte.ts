/** What administrators hear live about the whole system: new audit rows and alerts. */
import type { FrameOf } from "$lib/api/types";
import { Connection, type Link } from "$lib/realtime/connection";
import { socketUrl } from "$lib/realtime/url";
import { signIn } from "./app";

export type News = FrameOf<"audit"> | FrameOf<"alert">;

export class SystemNews {
  link = $state<Link>("connecting");
  readonly #connection: Connection;

  /** `onGap` is called whenever the link begins: what came before was not heard. */
  constructor(onNews: (news: News) => void, onGap: () => void) {
    let deaf = true;
    this.#connection = new Connection({
      url: socketUrl("system"),
      newsOnly: true,
      token: () => signIn.accessToken(),
      renewToken: () => signIn.renew(),
      onFrame: (frame) => {
        if (frame.type === "audit" || frame.type === "alert") onNews(frame);
      },
      onLink: (link) => {
        this.link = link;
        if (link === "live" && deaf) onGap();
        if (link !== "stale") deaf = link !== "live";
      },
    });
  }

  /** Returns what ends it. */
  open(): () => void {
    const online = () => this.#connection.network(true);
    const offline = () => this.#connection.network(false);
    addEventListener("online", online);
    addEventListener("offline", offline);
    this.#connection.open();
    return () => {
      removeEventListener("online", online);
      removeEventListener("offline", offline);
      this.#connection.close();
    };
  }
}
