#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/result.h"
#include "sandbox/gauges.h"

// The control protocol between a worker and hearth-sandboxd: one fixed-size packet per message on a
// SOCK_SEQPACKET pair, so that neither side ever parses a length that the other chose. Both ends
// are on one host and of one build; integers are little-endian, structures have no padding.
// docs/protocol.md shows every packet to the byte.
//
// Worker to sandboxd: create (1 descriptor), kill.
// Sandboxd to worker: hello or start_failed once, then created (2 to 9 descriptors), create_failed,
// exited, and pool whenever what stands ready has changed.
//
// For each create there is exactly one created or create_failed; for each created exactly one
// exited, and when exited arrives nothing of the sandbox is left: no process, no cgroup, its slot
// is free.
//
// Pure functions; any thread.

namespace hearth::sandbox {

static_assert(std::endian::native == std::endian::little);

inline constexpr std::uint16_t protocol_version = 4;

// Where the bounds of a create request come from: the limits that users meet (memory, /tmp) with
// room below for what the platform itself may start, and what one host can hold.
inline constexpr std::uint32_t memory_mb_min = 32;
inline constexpr std::uint32_t memory_mb_max = 10'240;
inline constexpr std::uint32_t pids_min = 4;
inline constexpr std::uint32_t pids_default =
    64;  // processes and threads, without the sandbox's init
inline constexpr std::uint32_t pids_max = 4'096;
inline constexpr std::uint64_t open_files_max = 1'024;  // of each process
inline constexpr std::uint64_t tmp_bytes_default = 512ULL << 20;
inline constexpr std::uint64_t tmp_bytes_max = 10'240ULL << 20;
inline constexpr std::uint64_t shm_bytes_default = 64ULL << 20;
inline constexpr std::uint64_t shm_bytes_max = 10'240ULL << 20;
inline constexpr std::uint32_t cpu_millis_min = 10;
inline constexpr std::uint32_t cpu_millis_max = 1'000'000;
// What parked sandboxes are made with: one CPU, which is all that one thread can use.
inline constexpr std::uint32_t cpu_millis_default = 1'000;
// At this much memory a sandbox has the weight of an ordinary process, and AWS Lambda gives a
// function one CPU: docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html.
inline constexpr std::uint32_t memory_mb_per_cpu = 1'769;
inline constexpr std::uint32_t slots_default = 256;
inline constexpr std::uint32_t slots_max = 16'384;
// Siblings share what the zygote chose at its start: the hash secret and the layout of memory. Each
// zygote is therefore replaced after so many forks and so many minutes.
inline constexpr std::uint32_t zygote_forks_default = 5'000;
inline constexpr std::uint32_t zygote_forks_max = 1'000'000;
inline constexpr std::uint32_t zygote_minutes_default = 30;
inline constexpr std::uint32_t zygote_minutes_max = 7 * 24 * 60;
inline constexpr std::size_t zygote_modules_bytes_max = 1'024;
// In the mode per-function. A zygote takes some 19 MB (hearth-bench-modes).
inline constexpr std::uint32_t zygote_spares_default = 2;
inline constexpr std::uint32_t zygote_spares_max = 64;
inline constexpr std::uint32_t zygote_functions_default = 16;
inline constexpr std::uint32_t zygote_functions_max = 1'024;
inline constexpr std::uint32_t zygote_idle_seconds_default = 300;
inline constexpr std::uint32_t zygote_idle_seconds_max = 24 * 60 * 60;
// A setting's value, and what a packet can tell: one more may just be starting.
inline constexpr std::uint32_t zygotes_max = zygote_functions_max + zygote_spares_max + 1;
// What the numpy zygote imports beside the standard one's. Without the first it does not exist.
inline constexpr const char* numpy_modules_default = "numpy,pandas";
// Sandboxes that are complete and wait for a function. Each costs its slot and a few megabytes.
inline constexpr std::uint32_t parked_default = 4;
inline constexpr std::uint32_t parked_max = 256;
// Sandboxes that are complete but for Python. Each costs its slot and some 260 kilobytes, 190 of
// them the kernel's (measured over 90 of them on Linux 6.18).
inline constexpr std::uint32_t shells_default = 16;
inline constexpr std::uint32_t shells_max = 256;

enum class packet_type : std::uint16_t {
    create = 1,
    kill = 2,
    hello = 16,
    start_failed = 17,
    created = 18,
    create_failed = 19,
    exited = 20,
    pool = 21,
};

// Which cgroup hierarchy enforces the limits.
enum class cgroup_form : std::uint32_t {
    none = 0,     // only with allow_no_limits
    hybrid = 1,   // v1 controllers for limits, a v2 tree for placement and kill
    unified = 2,  // v2 for everything
};

// How a sandbox came to be, from the slowest to the fastest.
enum class start_way : std::uint32_t {
    program = 1,  // made for this request, Python executed
    zygote = 2,   // made for this request, Python forked from the zygote
    parked = 3,   // made before this request, which gave it limits and code
};

// Which zygote a sandbox's Python is forked from: what it finds imported.
enum class zygote_family : std::uint32_t {
    standard = 0,  // modules of the standard library
    numpy = 1,     // those, numpy and pandas; these are never parked
};
inline constexpr std::size_t zygote_families = 2;

// Who shares a zygote, and so the layout of memory and the secret of hash().
enum class zygote_mode : std::uint8_t {
    off,           // nobody: Python is executed for each sandbox
    shared,        // all functions
    per_function,  // the sandboxes of one function
};

// Names a function, all of its revisions: a hash of its id. All zero: no function, for which no
// zygote is kept in the mode per-function.
struct function_key {
    std::array<std::uint64_t, 2> words{};
    friend bool operator==(const function_key&, const function_key&) = default;
};

enum class exit_kind : std::uint32_t {
    code = 1,    // value is what Python passed to exit(2)
    signal = 2,  // value is the signal's number
};

struct packet_header {
    std::uint16_t version = protocol_version;
    packet_type type{};
    std::uint32_t reserved = 0;  // zero
    std::uint64_t sandbox_id =
        0;  // chosen by the worker, unique among its live sandboxes; 0 in hello
};
static_assert(sizeof(packet_header) == 16);

// Descriptor: the code directory (O_PATH). A request with the default pids, tmp_bytes and shm_bytes
// can be served by a parked sandbox.
struct create_packet {
    packet_header header{.type = packet_type::create};
    std::uint32_t memory_mb = 128;
    std::uint32_t pids = pids_default;
    std::uint64_t tmp_bytes = tmp_bytes_default;  // bytes count against memory_mb as they are used
    std::uint64_t shm_bytes = shm_bytes_default;  // of /dev/shm; likewise
    std::uint32_t cpu_millis = cpu_millis_default;  // thousandths of one CPU; 0: no limit
    zygote_family family = zygote_family::standard;
    function_key function;
};
static_assert(sizeof(create_packet) == 64);
inline constexpr std::size_t create_descriptors = 1;

// Kills every process of the sandbox; exited follows. Unknown ids are ignored: the sandbox may have
// ended while the request was on its way.
struct kill_packet {
    packet_header header{.type = packet_type::kill};
};
static_assert(sizeof(kill_packet) == 16);

struct hello_packet {
    packet_header header{.type = packet_type::hello};
    cgroup_form form = cgroup_form::none;
    std::uint32_t slots = 0;         // sandboxes that can live at once
    std::uint32_t landlock_abi = 0;  // 0: the kernel has no Landlock
    std::uint8_t limits_memory = 0;  // 1: enforced
    std::uint8_t limits_pids = 0;
    std::uint8_t limits_cpu = 0;
    std::uint8_t one_user = 0;  // 1: all sandboxes are one host user; 0: each has its own
};
static_assert(sizeof(hello_packet) == 32);

// Sandboxd cannot work on this host and exits. The text says why and what to do.
struct start_failed_packet {
    packet_header header{.type = packet_type::start_failed};
    std::array<char, 1008> text{};  // zero-terminated
};
static_assert(sizeof(start_failed_packet) == 1024);

// Every layer is in place and Python runs; it has not read its init frame yet. Descriptors, in this
// order: the worker's end of the control stream (AF_UNIX SOCK_STREAM), the read end of the pipe for
// stdout and stderr (O_NONBLOCK), and one for each bit of `gauges`, from the lowest (gauges.h).
struct created_packet {
    packet_header header{.type = packet_type::created};
    std::int32_t init_pid = 0;     // of the sandbox's pid 1, as the host sees it
    std::uint32_t setup_usec = 0;  // from the request's arrival to this packet
    start_way way = start_way::program;
    std::uint32_t gauges = 0;  // a bit for each of enum gauge that came along
};
static_assert(sizeof(created_packet) == 32);
inline constexpr std::size_t created_descriptors_min = 2;
inline constexpr std::size_t created_descriptors_max = created_descriptors_min + gauge_count;

// The sandbox was not made and nothing of it is left.
struct create_failed_packet {
    packet_header header{.type = packet_type::create_failed};
    std::int32_t os_error = 0;  // errno, or 0
    std::uint32_t reserved = 0;
    std::array<char, 40> stage{};  // zero-terminated name of the step, "slots" when none is free
    std::array<char, 192> text{};  // zero-terminated
};
static_assert(sizeof(create_failed_packet) == 256);

struct exited_packet {
    packet_header header{.type = packet_type::exited};
    exit_kind kind = exit_kind::code;
    std::int32_t value = 0;
    std::uint32_t oom_kills = 0;  // processes of the sandbox that the kernel killed for memory
    std::uint8_t killed_on_request = 0;  // 1: a kill packet came before the end
    std::array<std::uint8_t, 3> reserved{};
    std::uint64_t memory_peak_bytes = 0;  // 0 where memory is not limited
    std::uint64_t cpu_usec = 0;           // user and system time of every process of the sandbox
    std::uint32_t pids_refused = 0;       // forks that ended at the limit of processes and threads
    std::uint32_t reserved_end = 0;
};
static_assert(sizeof(exited_packet) == 56);

// What stands ready has changed: sandboxes that wait for a function, shells that wait for Python,
// or zygotes.
struct pool_packet {
    packet_header header{.type = packet_type::pool};
    std::uint32_t parked = 0;   // sandboxes that wait now
    std::uint32_t zygote = 0;   // 1: Python can be forked for a function that was never called
    std::uint32_t shells = 0;   // sandboxes that lack only Python
    std::uint32_t zygotes = 0;  // processes, with those that are not ready yet
};
static_assert(sizeof(pool_packet) == 32);

inline constexpr std::size_t packet_size_max = sizeof(start_failed_packet);
// Of created, and of a fork request (zygote_protocol.h).
inline constexpr std::size_t packet_descriptors_max = 9;
static_assert(created_descriptors_max <= packet_descriptors_max);

using request = std::variant<create_packet, kill_packet>;
using event = std::variant<hello_packet, start_failed_packet, created_packet, create_failed_packet,
                           exited_packet, pool_packet>;

// Check one received packet in full: size, version, type, reserved fields, ranges, terminators and
// how many descriptors came along. errc::protocol otherwise.
[[nodiscard]] result<request> decode_request(std::span<const std::byte> packet,
                                             std::size_t descriptors);
[[nodiscard]] result<event> decode_event(std::span<const std::byte> packet,
                                         std::size_t descriptors);

// As settings say it: "off", "shared", "per-function".
[[nodiscard]] std::string_view name_of(zygote_mode mode);

// Whether the limits of a create request are in range; says which is not.
[[nodiscard]] result<> check_limits(const create_packet& wanted);

// The bytes of a packet; valid while it lives.
template <class Packet>
    requires std::is_trivially_copyable_v<Packet>
[[nodiscard]] std::span<const std::byte> bytes_of(const Packet& packet) {
    return std::as_bytes(std::span<const Packet, 1>(&packet, 1));
}

// Zero-terminated text in a fixed field: written cut to fit, read up to the terminator.
template <std::size_t Size>
void set_text(std::array<char, Size>& field, std::string_view text) {
    field.fill('\0');
    text.substr(0, Size - 1).copy(field.data(), Size - 1);
}
template <std::size_t Size>
[[nodiscard]] std::string_view text_of(const std::array<char, Size>& field) {
    const std::string_view all(field.data(), Size);
    return all.substr(0, all.find('\0'));
}

}  // namespace hearth::sandbox
