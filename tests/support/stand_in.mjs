// Runs a stand-in for AWS's services on a free port of the loopback until stdin ends.
//     node stand_in.mjs FOLDER_OF_MODULES sqs_s3|dynamodb
// The first line on stdout is the port.
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, kind] = process.argv.slice(2);
const host = "127.0.0.1";
const require = createRequire(path.join(modules, "stand_in.cjs"));

async function start() {
  if (kind === "sqs_s3") {
    // It has no entry for require(), and import() looks beside this file only.
    const entry = require(path.join(modules, "fauxqs", "package.json")).exports["."].import;
    const file = path.join(modules, "fauxqs", entry.default ?? entry);
    const { buildApp } = await import(pathToFileURL(file).href);
    const app = buildApp({ logger: false });
    await app.listen({ port: 0, host });
    return app.server.address().port;
  }
  const dynalite = require("dynalite");
  const server = dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });
  await new Promise((done) => server.listen(0, host, done));
  return server.address().port;
}

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
console.log(await start());
