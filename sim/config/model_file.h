// scenarios/models/*.yaml: a model and the bytes of its cache entries. Every figure there names its
// source.
#pragma once

#include <optional>
#include <string>

#include "sim/config/section.h"
#include "sim/model/cache_geometry.h"
#include "sim/model/model.h"

namespace v4cap {

struct ModelData {
  ModelSpec spec;
  EntryFormat entry_fp8;                 // with FP8 indexer keys, or without an indexer
  std::optional<EntryFormat> entry_fp4;  // with FP4 indexer keys, where the model has such a format
};

// Reads the keys of a model file and rejects unknown ones. Errors are collected in the section's
// document.
ModelData read_model(Section section);

// Keys of a model file, and of `model` in a scenario.
const std::vector<KeySpec>& model_keys();

// By name or path; looked for from the current directory (sim/config/data_files.h). Throws
// InputError.
ModelData load_model(const std::string& name_or_path);

}  // namespace v4cap
