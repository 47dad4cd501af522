#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "aws/settings.h"
#include "base/result.h"

// The shared files ~/.aws/config and ~/.aws/credentials
// (docs.aws.amazon.com/sdkref/latest/guide/file-format.html).

namespace hearth::aws {

using profile = std::map<std::string, std::string, std::less<>>;
using profile_set = std::map<std::string, profile, std::less<>>;

// Sections of one file. In the config file a profile is "[profile name]", except "[default]"; in
// the credentials file it is "[name]". Other sections are left out, as are nested values.
[[nodiscard]] profile_set parse_profiles(std::string_view text, bool is_config_file);

// Both files, the credentials file winning name by name: AWS_CONFIG_FILE and
// AWS_SHARED_CREDENTIALS_FILE, or those in HOME. A file that is not there is empty; one that cannot
// be read is an error. Blocks; files are small and local.
[[nodiscard]] result<profile_set> read_profiles(const environment& from);

// A file's text without white space at its ends: tokens and the like, at most 64 KiB. Blocks.
[[nodiscard]] result<std::string> read_small_file(const std::string& path);

// A command line split as a POSIX shell does, with quotes and backslashes and nothing else; no
// words when a quote does not end.
[[nodiscard]] std::vector<std::string> split_command(std::string_view line);

}  // namespace hearth::aws
