// How `v4cap capacity` shows what it found.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "sim/app/capacity_speed.h"
#include "sim/app/capacity_study.h"
#include "sim/app/expectations.h"
#include "sim/output/table.h"

namespace v4cap {

// What the scenario is asked beside its own capacity. Lists are empty where nothing was asked.
struct CapacityStudy {
  std::vector<MemoryItem> memory;  // empty where kv_cache.memory says it all
  std::vector<DeploymentRow> deployments;
  RequestFit fit;
  std::vector<SensitivityRow> sensitivity;
  std::vector<ModelBytes> models;
  std::vector<DecodeSpeed> speeds;  // of the scenario's model and of the others
  std::vector<CachedToken> cached;  // the scenario's model, then the others
  std::vector<ExpectationResult> expectations;
};

// The scenario under its own policy first, then under others.
std::string capacity_json(const std::vector<CapacityOption>& options, const CapacityStudy& study);
std::string capacity_text(const std::vector<CapacityOption>& options, const CapacityStudy& study,
                          const TextStyle& style);

}  // namespace v4cap
