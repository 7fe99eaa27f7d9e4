// A real provider of OpenID Connect: panva's oidc-provider, with a page of one button for each of its people.
// With a PEM file of key and certificates as its argument it speaks TLS.
// Says its issuer on standard output, reads its settings as a line of JSON from standard input, and then says "ready".
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const pem = process.argv[2] && readFileSync(process.argv[2]);
const server = pem ? createTlsServer({ key: pem, cert: pem }) : createServer();
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const issuer = `${pem ? "https" : "http"}://127.0.0.1:${server.address().port}`;
console.log(issuer);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const settings = JSON.parse((await lines.next()).value);

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: settings.client_id,
      client_secret: settings.client_secret,
      redirect_uris: settings.redirect_uris,
      post_logout_redirect_uris: settings.post_logout_redirect_uris,
      response_types: ["code"],
      grant_types: ["authorization_code"],
    },
  ],
  pkce: { required: () => true },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_ctx, interaction) => `/people/${interaction.uid}` },
  cookies: { keys: ["only for tests"] },
  async findAccount(_ctx, id) {
    return { accountId: id, claims: async () => ({ sub: id, ...settings.people[id] }) };
  },
  // The person has agreed to all of it.
  async loadExistingGrant(ctx) {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope("openid email profile");
    await grant.save();
    return grant;
  },
});

server.on("request", async (request, response) => {
  const [, where, , who] = request.url.split("/");
  if (where !== "people") return provider.callback()(request, response);
  if (who) return provider.interactionFinished(request, response, { login: { accountId: who } });
  const buttons = Object.keys(settings.people).map((name) => `<a href="${request.url}/${name}">${name}</a>`);
  response.setHeader("Content-Type", "text/html");
  response.end(`<!doctype html><html lang="en"><title>Who are you?</title>${buttons.join(" ")}</html>`);
});
console.log("ready");
