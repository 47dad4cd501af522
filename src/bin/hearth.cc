#include <cstdio>

#include <CLI/CLI.hpp>

#include "dev_options.h"
#include "dev_server.h"

int main(int argc, char** argv) {
    CLI::App app("Hearth runs Python functions on your own machines.");
    app.set_version_flag("--version", "hearth " HEARTH_VERSION);
    app.require_subcommand(1);
    app.footer("`hearth dev` is the whole platform on one host. Try it: ./tools/quickstart");

    hearth::dev_options options;
    CLI::App* dev = app.add_subcommand(
        "dev", "Run controller, worker and sandboxes on this host, with storage in one folder.");
    hearth::add_dev_options(*dev, options);
    dev->footer(
        "Example:\n"
        "  INFRA_API_KEY=secret hearth dev --port 8080 &\n"
        "  curl -H 'x-api-key: secret' -F file=@hello.py http://127.0.0.1:8080/upload\n"
        "SIGTERM drains and exits 0; SIGUSR1 writes the tree of waiting tasks to the log.");
    CLI11_PARSE(app, argc, argv);

    const auto status = hearth::run_dev_server(std::move(options));
    if (!status) {
        std::fprintf(stderr, "hearth: %s\n", status.error().message.c_str());
        return 1;
    }
    return *status;
}
