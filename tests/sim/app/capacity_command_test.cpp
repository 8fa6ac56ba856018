#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

ProgramRun run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"capacity", V4CAP_SOURCE_DIR "/scenarios/quickstart.yaml"});
  return run_v4cap(arguments);
}

double number(const boost::json::value& v) {
  return v.to_number<double>();
}

TEST_CASE("capacity --json holds what the contract promises") {
  const ProgramRun o = run({"--json"});
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  const boost::json::value doc = boost::json::parse(o.out);
  CHECK(doc.at("policy").as_string() == "full");
  CHECK(doc.at("layout").as_string() == "ideal");
  CHECK(number(doc.at("bytes_per_token")) == doctest::Approx(41135).epsilon(1e-4));
  CHECK(number(doc.at("kv_gib_per_gpu")) == doctest::Approx(44.8).epsilon(0.005));
  CHECK(number(doc.at("kv_tokens")) == doctest::Approx(1.17e6).epsilon(0.01));
  double per_token = 0, per_request = 0;
  for (const auto& kind : doc.at("kinds").as_array()) {
    per_token += number(kind.at("bytes_per_token"));
    per_request += number(kind.at("bytes_per_request"));
  }
  CHECK(per_token == doctest::Approx(number(doc.at("bytes_per_token"))));
  CHECK(per_request == number(doc.at("bytes_per_request")));
  REQUIRE(doc.at("policies").as_array().size() == 4);
  CHECK(doc.at("policies").at(0).at("policy").as_string() == "full");
  CHECK(doc.at("policies").at(2).at("policy").as_string() == "reuse");
  CHECK(number(doc.at("policies").at(2).at("bytes_per_token")) ==
        doctest::Approx(5511 + 0.05 * 35'624).epsilon(1e-3));
  CHECK(doc.at("policies").at(3).at("policy").as_string() == "recompute");
  CHECK(number(doc.at("policies").at(3).at("bytes_per_token")) ==
        doctest::Approx(5511).epsilon(1e-3));
}

TEST_CASE("capacity prints tables for people") {
  const ProgramRun o = run({"--compare", "recompute"});
  CAPTURE(o.out);
  CHECK(o.code == ExitCode::done);
  CHECK(o.out.find("deepseek-v4-pro on hgx-b200, tensor_parallel 8") != std::string::npos);
  CHECK(o.out.find("44.8 GiB for the KV cache") != std::string::npos);
  CHECK(o.out.find("41,135") != std::string::npos);
  CHECK(o.out.find("checkpoint=") == std::string::npos);
}

TEST_CASE("data parallel replicas hold more of the node's memory for themselves") {
  const auto tokens = [](const std::string& width) {
    const ProgramRun o = run({"--json", "--set", "model=deepseek-v4-flash", "--set",
                              "deployment.tensor_parallel=" + width});
    CAPTURE(o.err);
    REQUIRE(o.code == ExitCode::done);
    return number(boost::json::parse(o.out).at("kv_tokens_per_node"));
  };
  CHECK(tokens("4") > 1.5 * tokens("8"));
}

TEST_CASE("a model that does not fit ends the command with 1 and says what is missing") {
  const ProgramRun o = run({"--set", "hardware=hgx-h100"});
  CHECK(o.code == ExitCode::failed);
  CHECK(o.err.find("GiB are missing") != std::string::npos);
}

// vllm issue 51454: eight B200, V4-Flash, concurrency 20.43 in TP8 and 156.9 over eight ranks.
TEST_CASE("attention ranks hold what TP repeats") {
  std::ostringstream out, err;
  CHECK(run_program(kV4cap,
                    {"capacity", V4CAP_SOURCE_DIR "/scenarios/flash_b200_ranks.yaml", "--json"},
                    out, err, false, false) == ExitCode::done);
  CAPTURE(err.str());
  const boost::json::value doc = boost::json::parse(out.str());
  const auto& rows = doc.at("deployments").as_array();
  REQUIRE(rows.size() == 4);
  CHECK(rows[3].at("data_parallel").as_int64() == 8);
  CHECK(number(rows[3].at("kv_tokens")) / number(rows[0].at("kv_tokens")) ==
        doctest::Approx(156.9 / 20.43).epsilon(0.02));
  CHECK(number(rows[0].at("kv_tokens")) == number(doc.at("kv_tokens")));
  for (const auto& f : doc.at("engine_log").as_array()) {
    if (f.at("key").as_string() != "max_concurrency") continue;
    CHECK(number(f.at("value")) == doctest::Approx(20.43).epsilon(0.05));
  }
}

TEST_CASE("an engine of several nodes is taken, and a run of it refused") {
  const std::vector<std::string> wide = {"--set", "deployment.tensor_parallel=8", "--set",
                                         "deployment.data_parallel=2"};
  ProgramRun o = run({"--json", wide[0], wide[1], wide[2], wide[3]});
  CAPTURE(o.err);
  CHECK(o.code == ExitCode::done);
  CHECK(boost::json::parse(o.out).at("data_parallel").as_int64() == 2);
  std::ostringstream out, err;
  CHECK(run_program(kV4cap,
                    {"simulate", V4CAP_SOURCE_DIR "/scenarios/quickstart.yaml", wide[0], wide[1],
                     wide[2], wide[3]},
                    out, err, false, false) == ExitCode::bad_input);
  CHECK(err.str().find("a run has no network between nodes") != std::string::npos);
}

TEST_CASE("other models stand beside a scenario of any layout, version and option") {
  const ProgramRun o =
      run({"--json", "--compare", "deepseek-v3.2", "--set", "kv_cache.layout=vllm", "--set",
           "kv_cache.layout_version=0.26", "--set", "kv_cache.layout_options.packing=1"});
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  CHECK(boost::json::parse(o.out).at("models").as_array().size() > 0);
}

TEST_CASE("V4 takes 10.5 percent of V3.2 at 1 Mi tokens, with FP4 keys") {
  const ProgramRun o = run({"--json", "--compare", "deepseek-v3.2", "deepseek-v3", "gqa-70b",
                            "--set", "kv_cache.indexer=fp4"});
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  const boost::json::value doc = boost::json::parse(o.out);
  std::int64_t seen = 0;
  for (const auto& row : doc.at("models").as_array()) {
    const std::string model(row.at("model").as_string());
    double sum = 0;
    for (const auto& kind : row.at("kinds").as_array()) sum += number(kind.at("bytes"));
    CHECK(sum == number(row.at("bytes")));
    if (model == "deepseek-v3") CHECK(number(row.at("bytes_per_token")) == 35136);
    if (model == "gqa-70b") CHECK(number(row.at("bytes_per_token")) == 327680);
    if (model == "deepseek-v3.2" && row.at("tokens").as_int64() == 1048576) {
      CHECK(1 / number(row.at("ratio")) == doctest::Approx(0.105).epsilon(0.005));
      ++seen;
    }
  }
  CHECK(seen == 1);
}

TEST_CASE("a line through what requests take shows why bytes per token mean nothing") {
  const ProgramRun o = run({"--json", "--set", "kv_cache.layout=vllm", "--compare", "recompute"});
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  const boost::json::value doc = boost::json::parse(o.out);
  const auto& fit = doc.at("request_fit");
  // Facts of the dense layout: 3,354 blocks of 1,435,968 B and one every 256 tokens.
  CHECK(number(fit.at("fixed_bytes")) == doctest::Approx(3354.0 * 1435968).epsilon(1e-3));
  CHECK(number(fit.at("bytes_per_token")) == doctest::Approx(1435968 / 256.0).epsilon(1e-3));
  const auto& lengths = fit.at("lengths").as_array();
  CHECK(number(lengths.front().at("logged_bytes_per_token")) >
        50 * number(lengths.back().at("logged_bytes_per_token")));
  bool found = false;
  for (const auto& f : doc.at("engine_log").as_array()) {
    found = found || f.at("label").as_string() == "GPU KV cache size";
  }
  CHECK(found);
}

TEST_CASE("sensitivity prices single changes in tokens") {
  const ProgramRun o =
      run({"--json", "--sensitivity", "--compare", "recompute", "--set", "kv_cache.layout=sglang"});
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  const boost::json::value doc = boost::json::parse(o.out);
  const auto& rows = doc.at("sensitivity").as_array();
  const double base = number(rows.at(0).at("engine_tokens"));
  for (const auto& row : rows) {
    const std::string change(row.at("change").as_string());
    CAPTURE(change);
    if (row.as_object().contains("refused")) continue;
    const double tokens = number(row.at("engine_tokens"));
    if (change.starts_with("1 %") || change.starts_with("window") || change.starts_with("FP4")) {
      CHECK(tokens > base);
    }
    if (change.starts_with("one more draft")) CHECK(tokens < base);
  }
  const ProgramRun text = run({"--sensitivity", "--set", "kv_cache.layout=sglang"});
  CHECK(text.out.find("max_total_num_tokens") != std::string::npos);
  CHECK(text.out.find("window ratio 0.01 lower") != std::string::npos);
  CHECK(text.out.find("weights: routed experts") != std::string::npos);
}

TEST_CASE("a block that the engine does not have is no change to price") {
  for (const std::string layout : {"ideal", "vllm", "sglang", "trtllm"}) {
    CAPTURE(layout);
    const ProgramRun o =
        run({"--sensitivity", "--compare", "recompute", "--set", "kv_cache.layout=" + layout});
    CAPTURE(o.err);
    REQUIRE(o.code == ExitCode::done);
    // quickstart's block is 256; TensorRT-LLM also has 128.
    CHECK((o.out.find("half the block") != std::string::npos) ==
          (layout == "ideal" || layout == "trtllm"));
    CHECK((o.out.find("twice the block") != std::string::npos) == (layout == "ideal"));
  }
}

const std::vector<std::string> kFlashSglang = {
    "--set",    "kv_cache.layout=sglang", "--set",     "model=deepseek-v4-flash",
    "--set",    "kv_cache.memory=20 GiB", "--compare", "pool=1",
    "recompute"};

TEST_CASE("memory for the KV cache and what of it is in pools are two figures") {
  std::vector<std::string> arguments = kFlashSglang;
  const ProgramRun text = run(arguments);
  CAPTURE(text.out);
  CHECK(text.out.find("20.0 GiB for the KV cache on each GPU, as kv_cache.memory says\n17.5 GiB of "
                      "it in pools") != std::string::npos);
  arguments.emplace_back("--json");
  const boost::json::value doc = boost::json::parse(run(arguments).out);
  CHECK(number(doc.at("kv_gib_per_gpu")) == 20);
  CHECK(number(doc.at("kv_gib_in_pools")) == doctest::Approx(17.5).epsilon(2e-3));
  // 256 slots, one for padding and the ring: the rest of the 20 GiB but for a page.
  for (const auto& f : doc.at("engine_log").as_array()) {
    if (f.at("key").as_string() != "request_slot_gib") continue;
    CHECK(number(doc.at("kv_gib_in_pools")) ==
          doctest::Approx(20 - number(f.at("value"))).epsilon(1e-3));
  }
  // Where memory is predicted, both are there too.
  const boost::json::value predicted =
      boost::json::parse(run({"--json", "--set", "kv_cache.layout=sglang"}).out);
  CHECK(number(predicted.at("kv_gib_per_gpu")) > number(predicted.at("kv_gib_in_pools")) + 3);
}

TEST_CASE("full on sglang has a window for every token of the full pool, and says so") {
  std::vector<std::string> arguments = kFlashSglang;
  CHECK(run(arguments).out.find("full: 1 window tokens for each token of the main pool, by the "
                                "policy instead of swa_full_tokens_ratio 0.1, by which sglang "
                                "computes its log") != std::string::npos);
  arguments.emplace_back("--json");
  const boost::json::value doc = boost::json::parse(run(arguments).out);
  const auto& policies = doc.at("policies").as_array();
  REQUIRE(policies.size() == 3);
  CHECK(policies[0].at("policy").as_string() == "full");
  CHECK(number(policies[0].at("kv_tokens")) == number(policies[1].at("kv_tokens")));
  CHECK(number(policies[0].at("window_pool_ratio")) == 1);
  CHECK(policies[0].at("window_pool_ratio_from").as_string() == "policy");
  CHECK(number(policies[2].at("window_pool_ratio")) == 0.1);
  CHECK(policies[2].at("window_pool_ratio_from").as_string() == "engine");
  // Both pools full, but for a page: bytes a token times tokens is what they have.
  CHECK(number(policies[0].at("kv_tokens")) * number(policies[0].at("bytes_per_token")) ==
        doctest::Approx(number(doc.at("kv_gib_in_pools")) * (1 << 30)).epsilon(2e-3));
  const auto logged = [](const std::string& policy) {
    const boost::json::value of = boost::json::parse(
        run({"--json", "--set", "kv_cache.layout=sglang", "--set", "kv_cache.swa_policy=" + policy})
            .out);
    return boost::json::serialize(of.at("engine_log"));
  };
  CHECK(logged("full") == logged("recompute"));
}

TEST_CASE("a pool of windows in a layout without one is refused at the policy") {
  const TempDir dir;
  for (const std::string layout : {"vllm", "trtllm"}) {
    CAPTURE(layout);
    const std::string file = dir.write("s.yaml",
                                       "model: deepseek-v4-pro\nhardware: hgx-b200\n"
                                       "workload: {trace: none}\nkv_cache:\n  layout: " +
                                           layout + "\n  swa_policy: pool=0.1\n");
    std::ostringstream out, err;
    CHECK(run_program(kV4cap, {"capacity", file}, out, err, false, false) == ExitCode::bad_input);
    CAPTURE(err.str());
    CHECK(err.str().find("s.yaml:6:15: kv_cache.swa_policy: expected another policy, layout " +
                         layout +
                         " has no pool for windows (ideal, sglang have one), got 'pool=0.1'") !=
          std::string::npos);
  }
}

TEST_CASE("a wrong policy is refused as input") {
  CHECK(run({"--compare", "checkpoint=77"}).code == ExitCode::bad_input);
  CHECK(run({"--compare", "recomputed"}).code == ExitCode::bad_input);
}

}  // namespace
}  // namespace v4cap
