// Transfer of profiles: on times that follow the model exactly it is exact; on the shipped profiles
// it is held to its errors on a GPU that was left out.
#include "sim/cost/transfer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <string>

#include "sim/config/data_files.h"
#include "sim/config/profile_file.h"
#include "sim/config/transferred_profile.h"
#include "tests/models.h"

namespace v4cap {
namespace {

constexpr double kN = 7168, kK = 16384;
constexpr double kFp8BlockBytes = 1 + 1.0 / 16384;

HardwareSpec toy_gpu(const std::string& name, double bytes_per_s, double fp8_flop_per_s) {
  HardwareSpec h;
  h.name = "hgx-" + name;
  h.gpu.name = name;
  h.gpu.memory_bytes_per_s_peak = bytes_per_s;
  h.gpu.flop_per_s_peak_bf16 = fp8_flop_per_s / 2;
  h.gpu.flop_per_s_peak_fp8 = fp8_flop_per_s;
  h.link_bytes_per_s_peak = 450e9;
  return h;
}

// A GPU whose GEMMs take 7 us, 1.25 times what their bytes take and 1.5 times what their FLOP take
// at `reached` of the peak.
double gemm_us(const HardwareSpec& h, double m, double reached = 1) {
  const double bytes = kN * kK * kFp8BlockBytes + 2 * m * kN;
  return 7 + 1.25e6 * bytes / h.gpu.memory_bytes_per_s_peak +
         1.5e6 * 2 * m * kN * kK / (h.gpu.flop_per_s_peak_fp8 * reached);
}

double all_reduce_us(const HardwareSpec& h, double bytes) {
  return 4 + 1.4e6 * 1.75 * bytes / h.link_bytes_per_s_peak;
}

ProfileFamily family(const std::string& name, std::vector<std::string> keys, ProfileAxis axis) {
  ProfileFamily f;
  f.name = name;
  f.grain = ProfileGrain::kernel;
  f.keys = std::move(keys);
  f.axes = {std::move(axis)};
  f.marks = {"warm_l2"};
  return f;
}

Profile toy_profile(const HardwareSpec& h, double reached = 1) {
  Profile p;
  p.name = h.gpu.name + "-toy-1";
  p.gpu = h.gpu.name;
  p.engine = "toy";
  p.source = "made up";
  std::vector<Sample> gemm, reduce;
  for (const double m : {1.0, 64.0, 1024.0, 8192.0}) {
    gemm.push_back({{m}, gemm_us(h, m, reached)});
    reduce.push_back({{8192 * m}, all_reduce_us(h, 8192 * m)});
  }
  p.families.push_back(family("gemm", {"dtype", "n", "k"}, {"m", "rows"}));
  p.families.back().series.push_back(
      {{"fp8_block", "7168", "16384"}, SampleGrid({Interpolation::linear}, gemm)});
  p.families.push_back(family("all_reduce", {"gpus", "mode"}, {"bytes", "bytes"}));
  p.families.back().series.push_back({{"8", "graph"}, SampleGrid({Interpolation::linear}, reduce)});
  // Of a model that is not given.
  p.families.push_back(family("mhc_pre", {"hidden"}, {"tokens", "tokens"}));
  p.families.back().series.push_back({{"4097"}, SampleGrid({Interpolation::linear}, {{{1}, 9}})});
  return p;
}

// One GPU cannot tell a GEMM's fixed time from that of its weights; two of different bandwidth can.
TEST_CASE("times that follow the model are transferred exactly, from one donor and from two") {
  const HardwareSpec slow = toy_gpu("A", 3.35e12, 1979e12);
  const HardwareSpec fast = toy_gpu("B", 4.8e12, 1979e12);
  HardwareSpec target = toy_gpu("C", 8e12, 4500e12);
  target.link_bytes_per_s_peak = 900e9;
  const Profile of_slow = toy_profile(slow), of_fast = toy_profile(fast);
  const std::vector<TransferDonor> donors{{&of_fast, fast}, {&of_slow, slow}};
  for (const std::size_t count : {1U, 2U}) {
    CAPTURE(count);
    const Profile p = transfer_profile(std::span(donors).first(count), target, {});
    CHECK(p.gpu == "C");
    CHECK(p.engine == "toy");
    CHECK(p.source.find("B-toy-1 multiplied by model(C) / model(B)") != std::string::npos);
    CHECK((p.source.find("A-toy-1") != std::string::npos) == (count == 2));
    REQUIRE(p.families.size() == 2);  // nobody knows what mhc_pre of that width runs
    for (const ProfileFamily& f : p.families) {
      CHECK(f.has_mark(kTransferredMark));
      CHECK(f.has_mark("warm_l2"));
      CHECK(f.held_out.samples == 0);
    }
    for (const Sample& s : p.find("gemm")->series[0].grid.samples()) {
      const bool exact = std::abs(s.us / gemm_us(target, s.at[0]) - 1) < 1e-6;
      CHECK(exact == (count == 2));
    }
    for (const Sample& s : p.find("all_reduce")->series[0].grid.samples()) {
      CHECK(s.us == doctest::Approx(all_reduce_us(target, s.at[0])).epsilon(1e-6));
    }
  }
}

TEST_CASE("what a GPU reaches of its peak counts when donor and target both say so") {
  HardwareSpec fast = toy_gpu("A", 4.8e12, 1979e12), slow = toy_gpu("B", 3.35e12, 1979e12);
  HardwareSpec target = toy_gpu("C", 8e12, 4500e12);
  fast.reached.matrix_product = slow.reached.matrix_product = 0.66;
  const Profile of_fast = toy_profile(fast, 0.66), of_slow = toy_profile(slow, 0.66);
  const std::vector<TransferDonor> donors{{&of_fast, fast}, {&of_slow, slow}};
  const auto at_8192 = [&] {
    const Profile p = transfer_profile(donors, target, {});
    return p.find("gemm")->series[0].grid.samples().back().us;
  };
  CHECK(at_8192() == doctest::Approx(gemm_us(target, 8192, 0.66)).epsilon(1e-6));
  target.reached.index_scores = 0.3;  // of another kind
  CHECK(at_8192() == doctest::Approx(gemm_us(target, 8192, 0.66)).epsilon(1e-6));
  target.reached.matrix_product = 0.5;
  CHECK(at_8192() == doctest::Approx(gemm_us(target, 8192, 0.5)).epsilon(1e-6));
}

std::vector<TransferModel> known_models() {
  std::vector<TransferModel> out;
  for (const std::string name : {"deepseek-v4-pro", "deepseek-v4-flash", "deepseek-v3.2"}) {
    out.push_back({known_model(name).spec, known_model(name).entry_fp8});
  }
  return out;
}

TEST_CASE("a profile transferred to the GPU that it is of keeps its times in every family") {
  const Profile measured = load_profile("b200-sglang-0.5.14", "");
  const Profile same =
      load_transferred({measured.name}, "", known_hardware("hgx-b200"), known_models());
  REQUIRE(same.families.size() == measured.families.size());
  for (std::size_t i = 0; i < same.families.size(); ++i) {
    CAPTURE(same.families[i].name);
    REQUIRE(same.families[i].series.size() == measured.families[i].series.size());
  }
  for (const TransferError& e : transfer_errors(same, measured)) {
    CAPTURE(e.family);
    CHECK(e.samples > 10);
    CHECK(e.p90_pct < 1e-9);
  }
}

struct Bound {
  double median_pct, p90_pct;
};

// B200 predicted from H200 and H100 and the hardware files alone.
void check_left_out(const std::string& engine, const std::map<std::string, Bound>& bounds) {
  const Profile predicted = load_transferred({"h200-" + engine, "h100-" + engine}, "",
                                             known_hardware("hgx-b200"), known_models());
  const auto errors = transfer_errors(predicted, load_profile("b200-" + engine, ""));
  std::size_t seen = 0;
  for (const TransferError& e : errors) {
    const auto bound = bounds.find(e.family);
    if (bound == bounds.end()) continue;
    ++seen;
    CAPTURE(e.family);
    CHECK(e.samples > 300);
    CHECK(e.median_pct < bound->second.median_pct);
    CHECK(e.p90_pct < bound->second.p90_pct);
  }
  CHECK(seen == bounds.size());
}

// The target is a median of 12 % in decode and 15 % in prefill.
TEST_CASE("attention of SGLang on B200 is predicted from Hopper within the target") {
  check_left_out("sglang-0.5.14", {{"attention_csa_decode", {12, 18}},
                                   {"attention_csa_prefill", {15, 23}},
                                   {"attention_hca_decode", {12, 24}},
                                   {"attention_hca_prefill", {15, 24}},
                                   // Misses: H100 has none, and where H200 runs FlashMLA
                                   // B200 runs TensorRT-LLM's kernel, which is faster.
                                   {"attention_dsa_decode", {28, 51}},
                                   {"attention_dsa_prefill", {15, 64}}});
}

TEST_CASE("attention of vLLM on B200 is predicted from Hopper within the target") {
  check_left_out("vllm-0.24.0", {{"attention_csa_decode", {12, 11}},
                                 {"attention_csa_prefill", {15, 20}},
                                 {"attention_hca_decode", {12, 14}},
                                 {"attention_hca_prefill", {15, 16}},
                                 {"attention_dsa_decode", {12, 17}}});
}

TEST_CASE("every GPU that hardware files transfer from has measured profiles") {
  std::size_t with_donors = 0;
  const auto names = data_names(DataKind::profile, "");
  for (const std::string& name : data_names(DataKind::hardware, "")) {
    const HardwareSpec& h = known_hardware(name);
    with_donors += h.transfer_from.empty() ? 0 : 1;
    for (const std::string& gpu : h.transfer_from) {
      CAPTURE(name);
      CAPTURE(gpu);
      CHECK_FALSE(default_profile(names, gpu, "sglang").empty());
      CHECK(load_hardware_of_gpu(gpu, "", {}).gpu.name == gpu);
      CHECK(default_profile(names, h.gpu.name, "sglang").empty());
    }
  }
  CHECK(with_donors == 5);
  CHECK_THROWS_WITH_AS(
      load_hardware_of_gpu("B2000", "", {}),
      "expected a hardware file that describes the GPU B2000, got none; did you mean "
      "'B200'?",
      InputError);
}

TEST_CASE("profiles of two engines are not mixed") {
  CHECK_THROWS_WITH_AS(load_transferred({"h200-sglang-0.5.14", "h100-vllm-0.24.0"}, "",
                                        known_hardware("hgx-b200"), known_models()),
                       "expected profiles of one engine, h200-sglang-0.5.14 is of sglang and "
                       "h100-vllm-0.24.0 of vllm",
                       InputError);
}

}  // namespace
}  // namespace v4cap
