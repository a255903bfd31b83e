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
      this.socket.addEventListener("open", () => {
        this.opened = true;
      });
      this.socket.addEventListener("message", (event) => this.read(event.data, receive));
      this.socket.addEventListener("close", (event) => lost(this.words(event)));
    }

    /* What cannot be read ends the connection: a page that misses a message shows something else. */
    read(data, receive) {
      try {
        receive(page.wire.decode(data));
      } catch (error) {
        this.broken = String(error.message || error);
        this.socket.close();
        throw error;
      }
    }

    words(event) {
      if (this.broken) return `A message of the market could not be read (${this.broken}).`;
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
