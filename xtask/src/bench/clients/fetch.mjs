import { writeSync } from "node:fs";
const [url, token] = process.argv.slice(2);
const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
if (answer.headers.get("content-encoding") !== "gzip") throw new Error("no gzip");
const body = Buffer.from(await answer.arrayBuffer());
for (let at = 0; at < body.length; ) {
  try {
    at += writeSync(1, body, at);
  } catch (error) {
    if (error.code !== "EAGAIN") throw error;
  }
}
