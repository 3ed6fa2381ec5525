// A mail server on loopback that takes everything, and an authenticator app.
import { createHmac } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { expect } from "@playwright/test";

export interface Mail {
  to: string;
  text: string;
}

export class Mailbox {
  readonly mails: Mail[] = [];
  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(): Promise<Mailbox> {
    const server = createServer();
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    const mailbox = new Mailbox(server, `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on("connection", (socket) => mailbox.talk(socket));
    return mailbox;
  }

  private talk(socket: Socket): void {
    let unread = "";
    let to = "";
    let text: string[] | null = null;
    socket.write("220 mailbox\r\n");
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      unread += bytes.toString("utf8");
      for (let end = unread.indexOf("\r\n"); end >= 0; end = unread.indexOf("\r\n")) {
        const line = unread.slice(0, end);
        unread = unread.slice(end + 2);
        if (text && line === ".") {
          this.mails.push({ to, text: decoded(text.join("\r\n")) });
          text = null;
          socket.write("250 taken\r\n");
        } else if (text) text.push(line.replace(/^\./, ""));
        else if (line.startsWith("DATA")) {
          text = [];
          socket.write("354 go on\r\n");
        } else if (line.startsWith("QUIT")) socket.end("221 bye\r\n");
        else {
          to = /^RCPT TO:<(.*)>/.exec(line)?.[1] ?? to;
          socket.write("250 ok\r\n");
        }
      }
    });
  }

  /** The newest mail to somebody with these words in it. */
  async find(to: string, words: string): Promise<Mail> {
    const found = (): Mail | undefined => this.mails.findLast((mail) => mail.to === to && mail.text.includes(words));
    await expect.poll(() => found() !== undefined, { timeout: 20_000 }).toBe(true);
    return found()!;
  }

  stop(): void {
    this.server.close();
  }
}

/** Quoted-printable undone, where it was done. */
function decoded(text: string): string {
  if (!/quoted-printable/i.test(text)) return text;
  return text.replaceAll("=\r\n", "").replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

/** The path of the link to a page that a mail carries. */
export function linkIn(mail: Mail, page: string): string {
  const token = new RegExp(`/${page}#(\\w+)`).exec(mail.text)?.[1];
  if (!token) throw new Error(`no link to ${page} in ${mail.text}`);
  return `/${page}#${token}`;
}

/** The code of an authenticator app (RFC 6238), `ahead` steps from now. */
export function totp(secret: string, ahead = 0): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret.replace(/\s/g, "")].map((each) => alphabet.indexOf(each).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead));
  const tag = createHmac("sha1", key).update(counter).digest();
  const offset = tag[19]! & 0xf;
  return String((tag.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}
