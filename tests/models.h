// The models and nodes under scenarios/, loaded once by name: what tests compare with published
// figures.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "sim/config/hardware_file.h"
#include "sim/config/model_file.h"
#include "sim/cost/operators.h"

namespace v4cap {

inline const ModelData& known_model(std::string_view name) {
  static std::map<std::string, ModelData, std::less<>> loaded;
  const auto it = loaded.find(name);
  if (it != loaded.end()) return it->second;
  return loaded.emplace(name, load_model(std::string(name))).first->second;
}

inline const HardwareSpec& known_hardware(std::string_view name) {
  static std::map<std::string, HardwareSpec, std::less<>> loaded;
  const auto it = loaded.find(name);
  if (it != loaded.end()) return it->second;
  return loaded.emplace(name, load_hardware(std::string(name))).first->second;
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
