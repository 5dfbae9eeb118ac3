// A real OpenID Connect provider for tests. It prints its address as soon as it listens, is told on standard input where
// the service wants people to come back to, and ends when standard input does. Anybody may log in, with any password.
import { createServer } from "node:http";
import { createInterface } from "node:readline";

import Provider from "oidc-provider";

const GROUPS = {
  ilze: ["staff", "editors"],
  maria: ["admins"],
  bob: ["a group nobody has heard of"],
};

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const lines = createInterface({ input: process.stdin });
  lines.once("line", (redirectUri) => {
    const provider = new Provider(issuer, {
      clients: [
        {
          client_id: "mentorgraph",
          client_secret: "a secret that only the two of them know",
          redirect_uris: [redirectUri],
        },
      ],
      claims: { openid: ["sub"], profile: ["groups", "nickname"] },
      findAccount: (_, id) => ({
        accountId: id,
        claims: () => ({ sub: id, groups: GROUPS[id] ?? [], nickname: `${id}/${id}` }),
      }),
      cookies: { keys: ["signs what the provider keeps in the browser"] },
    });
    server.on("request", provider.callback());
    console.log("ready");
  });
  lines.once("close", () => process.exit());
  console.log(issuer);
});
