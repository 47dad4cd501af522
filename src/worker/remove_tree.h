#pragma once

#include <string>

#include "base/result.h"

namespace hearth::worker {

// Removes `name` in `folder` with everything below it.
//
// Names below come from an archive, or from whoever took its reader over: they may be of any depth
// and mean anything as a path. So each is used as one component beneath a descriptor, links are
// removed and never followed, and folders are moved up instead of being descended into, so that no
// depth needs more stack or descriptors. Nothing else may write there meanwhile. Absent is success.
// Blocking.
[[nodiscard]] result<> remove_tree(int folder, const std::string& name);

}  // namespace hearth::worker
