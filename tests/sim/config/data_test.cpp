// Every model and hardware file that comes with the program loads, and says what its sources say.
#include <doctest/doctest.h>

#include "sim/config/data_files.h"
#include "sim/config/hardware_file.h"
#include "sim/config/model_file.h"

using namespace v4cap;

TEST_CASE("every bundled model loads under its own name") {
  const auto names = data_names(DataKind::model, "");
  CHECK(names == std::vector<std::string>{"deepseek-v3", "deepseek-v3.2", "deepseek-v4-flash",
                                          "deepseek-v4-flash-0731", "deepseek-v4-pro", "gqa-70b"});
  for (const std::string& name : names) {
    CAPTURE(name);
    CHECK(load_model(name).spec.name == name);
  }
}

TEST_CASE("layers expand in order") {
  struct Row {
    std::string name;
    std::int64_t layers, csa, hca, window;
  };
  const Row rows[] = {{"deepseek-v4-pro", 61, 30, 31, 0},
                      {"deepseek-v4-flash", 43, 21, 20, 2},
                      {"deepseek-v3.2", 61, 0, 0, 0},
                      {"gqa-70b", 80, 0, 0, 0}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const ModelSpec model = load_model(row.name).spec;
    CHECK(model.layer_count() == row.layers);
    CHECK(model.count(LayerKind::csa) == row.csa);
    CHECK(model.count(LayerKind::hca) == row.hca);
    CHECK(model.count(LayerKind::window) == row.window);
  }
  const ModelSpec pro = load_model("deepseek-v4-pro").spec;
  CHECK(pro.layers[1] == LayerKind::hca);
  CHECK(pro.layers[2] == LayerKind::csa);
  CHECK(pro.layers[59] == LayerKind::hca);
  CHECK(pro.layers[60] == LayerKind::csa);
}

TEST_CASE("entries add up to the published bytes per token") {
  struct Row {
    std::string name;
    bool fp4;
    std::int64_t bytes_per_128_tokens;
  };
  // Pro: 30 x (584 + 132) x 32 + 31 x 584; V3.2: 61 x (656 + 132) x 128; and so on.
  const Row rows[] = {{"deepseek-v4-pro", false, 705464},   {"deepseek-v4-pro", true, 644024},
                      {"deepseek-v4-flash", false, 492832}, {"deepseek-v3.2", false, 48068 * 128},
                      {"deepseek-v3", false, 35136 * 128},  {"gqa-70b", false, 327680 * 128}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const ModelData data = load_model(row.name);
    const ModelSpec& m = data.spec;
    REQUIRE((!row.fp4 || data.entry_fp4.has_value()));
    const EntryFormat e = row.fp4 ? *data.entry_fp4 : data.entry_fp8;
    const std::int64_t plain =
        m.count(LayerKind::dsa) + m.count(LayerKind::mla) + m.count(LayerKind::gqa);
    CHECK(m.count(LayerKind::csa) * 32 * (e.entry_bytes + e.indexer_bytes) +
              m.count(LayerKind::hca) * e.entry_bytes +
              plain * 128 * (e.entry_bytes + e.indexer_bytes) ==
          row.bytes_per_128_tokens);
  }
}

TEST_CASE("every bundled hardware loads and is marked as not measured") {
  const auto names = data_names(DataKind::hardware, "");
  CHECK(names.size() >= 10);
  for (const std::string& name : names) {
    CAPTURE(name);
    const HardwareSpec h = load_hardware(name);
    CHECK(h.name == name);
    CHECK((h.gpus_per_node == 1 || h.gpus_per_node == 4 || h.gpus_per_node == 8));
    CHECK(h.provenance.find("not measured") != std::string::npos);
  }
  const HardwareSpec b200 = load_hardware("hgx-b200");
  CHECK(b200.gpu.memory == Bytes{180 * kGiB});
  CHECK(b200.gpu.memory_bytes_per_s_peak == 7.7e12);
  CHECK(b200.gpu.flop_per_s_peak_fp4 == 9e15);
  CHECK(b200.efficiency.fixed_per_operator == std::chrono::microseconds(5));
  for (const std::string hopper : {"hgx-h100", "hgx-h200", "hgx-h20-96gb", "gh200-96gb"}) {
    CHECK(load_hardware(hopper).gpu.flop_per_s_peak_fp4 == 0);
  }
}

TEST_CASE("an unknown name is answered with the nearest") {
  CHECK_THROWS_WITH_AS(load_model("deepseek-v4-por"),
                       "model: unknown model \"deepseek-v4-por\"; did you mean 'deepseek-v4-pro'?",
                       InputError);
  CHECK_THROWS_WITH_AS(load_hardware("hgx-b2000"),
                       "hardware: unknown hardware \"hgx-b2000\"; did you mean 'hgx-b200'?",
                       InputError);
}
