#pragma once

// The one place that includes RapidJSON. Its stack adds offsets to a null pointer before the first
// allocation: harmless, since nothing is read there, but UndefinedBehaviorSanitizer would stop on
// it. Clang leaves that one check out of RapidJSON's own functions.

#if defined(__clang__)
#pragma clang attribute push(__attribute__((no_sanitize("pointer-overflow"))), apply_to = function)
#endif

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#if defined(__clang__)
#pragma clang attribute pop
#endif
