// A certified OpenID Connect provider (the package oidc-provider) on loopback, with a sign-in page of its own.
import { generateKeyPairSync } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Provider } from "oidc-provider";

export const CLIENT = "onsite";
export const SECRET = "a secret: with what+needs/encoding%";

export interface Person {
  name: string;
  email: string;
  groups: string[];
}

const jwk = (pair: { privateKey: { export: (options: { format: "jwk" }) => object } }, kid: string): object => ({ ...pair.privateKey.export({ format: "jwk" }), kid, use: "sig" });

/** One of each kind that Onsite takes. */
const KEYS = [
  jwk(generateKeyPairSync("rsa", { modulusLength: 2048 }), "rsa"),
  jwk(generateKeyPairSync("ec", { namedCurve: "P-256" }), "ec"),
  jwk(generateKeyPairSync("ed25519"), "ed"),
];

export class Staff {
  private server: Server | undefined;

  constructor(
    private readonly port: number,
    private readonly base: string,
    private readonly people: Record<string, Person>,
  ) {}

  get issuer(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts, signing with this algorithm. */
  async start(algorithm: string): Promise<void> {
    const people = this.people;
    const provider = new Provider(this.issuer, {
      clients: [
        {
          client_id: CLIENT,
          client_secret: SECRET,
          redirect_uris: [`${this.base}/sign-in/oidc`],
          response_types: ["code"],
          grant_types: ["authorization_code"],
          id_token_signed_response_alg: algorithm,
        },
      ],
      enabledJWA: { idTokenSigningAlgValues: ["RS256", "PS256", "ES256", "EdDSA"] },
      jwks: { keys: KEYS },
      scopes: ["openid", "profile", "email", "groups"],
      claims: { openid: ["sub"], profile: ["name"], email: ["email", "email_verified"], groups: ["groups"] },
      pkce: { required: () => true },
      cookies: { keys: ["a key of the journeys"] },
      features: { devInteractions: { enabled: false } },
      interactions: { url: (_context: unknown, interaction: { uid: string }) => `/interaction/${interaction.uid}` },
      findAccount: (_context: unknown, id: string) => ({
        accountId: id,
        claims: () => ({ sub: id, name: people[id]?.name, email: people[id]?.email, email_verified: true, groups: people[id]?.groups }),
      }),
    });
    const answer = provider.callback();
    const interact = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      if (request.method !== "POST") {
        const page = '<!doctype html><html lang="en"><title>Staff</title><link rel="icon" href="data:,"><h1>Staff</h1><form method="post"><label>User <input name="user"></label><button>Go on</button></form></html>';
        response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(page);
        return;
      }
      let body = "";
      for await (const chunk of request) body += String(chunk);
      const accountId = new URLSearchParams(body).get("user") ?? "";
      const grant = new provider.Grant({ accountId, clientId: CLIENT });
      grant.addOIDCScope("openid profile email groups");
      const grantId = await grant.save();
      await provider.interactionFinished(request, response, { login: { accountId, remember: false }, consent: { grantId } }, { mergeWithLastSubmission: false });
    };
    this.server = createServer((request, response) => void (request.url?.startsWith("/interaction/") ? interact(request, response) : answer(request, response)));
    await new Promise<void>((resolve) => this.server!.listen(this.port, "127.0.0.1", resolve));
  }

  async stop(): Promise<void> {
    this.server?.closeAllConnections();
    await new Promise((resolve) => this.server?.close(resolve));
  }
}
