// Starts one stand-in on loopback: node serve.mjs NAME PORT PACKAGES FOLDER READY_FD
// Port 0 takes a free one. The port is written to READY_FD once the stand-in listens, so that
// whoever started it neither polls nor guesses. The libraries are used rather than their commands:
// fauxqs's command listens on every address.
import { closeSync, writeSync } from "node:fs";
import { createRequire } from "node:module";

const [name, portText, packages, folder, readyText] = process.argv.slice(2);
const host = "127.0.0.1";
const port = Number(portText);
const require = createRequire(`${packages}/package.json`);

const starters = {
    async sqs() {
        // Only import finds its main file by name, and that would look beside this file.
        const { buildApp } = await import(`${packages}/node_modules/fauxqs/dist/app.js`);
        // Given a host, it makes queue URLs with a host name that does not resolve.
        const app = buildApp({ logger: false });
        await app.listen({ host, port });
        return app.server.address().port;
    },
    async dynamodb() {
        const server = require("dynalite")({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });
        await new Promise((resolve, reject) => {
            server.once("error", reject);
            server.listen(port, host, resolve);
        });
        return server.address().port;
    },
    async s3() {
        const S3rver = require("s3rver");
        const server = new S3rver({ address: host, port, directory: folder, silent: true });
        return (await server.run()).port;
    },
};

if (!Object.hasOwn(starters, name)) {
    console.error(`serve.mjs: no stand-in is called ${name}`);
    process.exit(2);
}
// A client may die in the middle of its request: dynalite has no listener for that.
process.on("uncaughtException", (error) => {
    if (error.code !== "ECONNRESET") {
        throw error;
    }
});
const bound = await starters[name]();
writeSync(Number(readyText), `${bound}\n`);
closeSync(Number(readyText));
