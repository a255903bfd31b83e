/* The line to a running market: binary messages in, small JSON commands out. */
(function (page) {
  "use strict";

  class Link {
    /* `receive(message)` for each message; `lost(words)` once, when the line is gone. */
    constructor(receive, lost) {
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      this.socket = new WebSocket(`${scheme}://${location.host}/socket`);
      this.socket.binaryType = "arraybuffer";
      this.opened = false;
      this.socket.addEventListener("open", () => { this.opened = true; });
      this.socket.addEventListener("message", (event) => receive(page.wire.decode(event.data)));
      this.socket.addEventListener("close", (event) => lost(this.words(event)));
    }

    words(event) {
      if (event.reason) return `The market ended the connection: ${event.reason}.`;
      if (!this.opened) return "The market cannot be reached. Is `marketsim live` still running?";
      return "The connection to the market is lost. What was seen stays; time can be scrubbed.";
    }

    /* Send a command; false where the line is gone. */
    send(message) {
      if (this.socket.readyState !== WebSocket.OPEN) return false;
      this.socket.send(JSON.stringify(message));
      return true;
    }
  }

  page.Link = Link;
})((window.page = window.page || {}));
