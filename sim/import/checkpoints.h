// The checkpoints that launch commands name, from scenarios/checkpoints.yaml.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/error.h"

namespace v4cap {

struct Checkpoint {
  std::string name;                        // "DeepSeek-V4-Pro-NVFP4"
  std::string model;                       // of scenarios/models
  std::optional<double> expert_bytes;      // per parameter, where the model's own do not hold
  std::optional<std::int64_t> mtp_layers;  // the same for its draft
};

// Throws InputError when the file is missing or wrong.
std::vector<Checkpoint> load_checkpoints();

// The checkpoint that a repository ("nvidia/DeepSeek-V4-Pro-NVFP4") or a path means: the last part
// of the path that is the name of one, also in a Hugging Face cache. nullptr when there is none.
const Checkpoint* find_checkpoint(const std::vector<Checkpoint>& known, const std::string& text);

// For messages: the nearest names.
std::string checkpoint_suggestion(const std::vector<Checkpoint>& known, const std::string& text);

}  // namespace v4cap
