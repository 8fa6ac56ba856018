// The models and nodes under scenarios/, loaded once by name: what tests compare with published
// figures.
#pragma once

#include <map>
#include <string>

#include "sim/config/hardware_file.h"
#include "sim/config/model_file.h"
#include "sim/cost/operators.h"

namespace v4cap {

inline const ModelData& known_model(const std::string& name) {
  static std::map<std::string, ModelData> loaded;
  const auto it = loaded.find(name);
  return it != loaded.end() ? it->second : loaded.emplace(name, load_model(name)).first->second;
}

inline const HardwareSpec& known_hardware(const std::string& name) {
  static std::map<std::string, HardwareSpec> loaded;
  const auto it = loaded.find(name);
  return it != loaded.end() ? it->second : loaded.emplace(name, load_hardware(name)).first->second;
}

inline StepSetting known_setting(const std::string& model, std::int64_t tensor_parallel,
                                 IndexerFormat indexer = IndexerFormat::fp8) {
  const ModelData& data = known_model(model);
  const bool fp4 = indexer == IndexerFormat::fp4 && data.entry_fp4.has_value();
  return {.model = data.spec,
          .tensor_parallel = tensor_parallel,
          .entry = fp4 ? *data.entry_fp4 : data.entry_fp8,
          .indexer = indexer};
}

}  // namespace v4cap
