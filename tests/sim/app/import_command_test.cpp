#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "sim/config/yaml_tree.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

ProgramRun import(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "import");
  return run_v4cap(arguments);
}

const std::string kFlash =
    "sglang serve --model-path deepseek-ai/DeepSeek-V4-Flash --tp 4 --bogus 1 "
    "--enable-two-batch-overlap";

TEST_CASE("import --json holds what the contract promises") {
  TempDir dir;
  const std::string log = dir.write(
      "server.log",
      "[2026-08-10 TP0] DSV4 memory calculation: bytes_per_full_token=7705.45, "
      "available_bytes=11.89 GB, c128_state_fixed=0.11 GB, full_token=1641472\n"
      "[2026-08-10 TP0] DSV4 pool sizes: full=1641472, swa=164096, c4=410368, c128=12824, "
      "c4_state=10256, c128_state=0\n");
  const ProgramRun o = import({"--command", kFlash, "--log", log, "--json", "--quiet"});
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  const boost::json::value doc = boost::json::parse(o.out);
  CHECK(doc.at("engine").as_string() == "sglang");
  CHECK(doc.at("fits").as_bool());
  CHECK(doc.at("scenario").as_string().find("model: deepseek-v4-flash") != std::string::npos);
  REQUIRE(doc.at("unknown_flags").as_array().size() == 1);
  CHECK(doc.at("unknown_flags").at(0).at("flag").as_string() == "--bogus");
  CHECK(doc.at("unknown_flags").at(0).at("line").as_int64() == 1);
  REQUIRE(doc.at("not_modelled").as_array().size() == 1);
  CHECK(doc.at("not_modelled").at(0).at("flag").as_string() == "--enable-two-batch-overlap");
  bool bytes = false, tokens = false;
  for (const auto& check : doc.at("log_checks").as_array()) {
    const auto figure = check.at("figure").as_string();
    if (figure == "bytes_per_full_token") {
      bytes = true;
      CHECK(check.at("ours").to_number<double>() == doctest::Approx(7705.45).epsilon(1e-6));
      CHECK(check.at("line").as_int64() == 1);
    }
    if (figure == "kv_cache_tokens") {
      tokens = true;
      CHECK(check.at("stated").to_number<double>() == 1641472);
    }
  }
  CHECK(bytes);
  CHECK(tokens);
}

TEST_CASE("what import prints is a scenario that check and capacity take") {
  TempDir dir;
  const ProgramRun o = import({"--command", kFlash});
  REQUIRE(o.code == ExitCode::done);
  CHECK(o.err.find("--command:1:64: unknown flag \"--bogus\"") != std::string::npos);
  CHECK(o.out.find("# Fits.") != std::string::npos);
  CHECK(o.out.find("# memory of one GPU") != std::string::npos);
  const std::string file = dir.write("scenario.yaml", o.out);
  CHECK(run_v4cap({"check", file}).code == ExitCode::done);
  CHECK(run_v4cap({"capacity", file}).code == ExitCode::done);
}

TEST_CASE("--out writes the scenario, never over another file unless told") {
  TempDir dir;
  const std::string file = dir / "scenario.yaml";
  const ProgramRun o = import({"--command", kFlash, "--out", file});
  CHECK(o.code == ExitCode::done);
  CHECK(o.out.find("model: deepseek") == std::string::npos);
  CHECK(o.out.find("Fits.") != std::string::npos);
  CHECK(read_text_file(file).find("model: deepseek-v4-flash") != std::string::npos);
  CHECK(import({"--command", kFlash, "--out", file}).code == ExitCode::bad_input);
  CHECK(import({"--command", kFlash, "--out", file, "--overwrite"}).code == ExitCode::done);
}

TEST_CASE("what does not fit ends with 1, and the scenario is still printed") {
  const ProgramRun o = import(
      {"--command", "sglang serve --model-path DeepSeek-V4-Pro --tp 8", "--hardware", "hgx-h100"});
  CHECK(o.code == ExitCode::failed);
  CHECK(o.out.find("Does not fit: ") != std::string::npos);
  CHECK(o.out.find("model: deepseek-v4-pro") != std::string::npos);
}

TEST_CASE("a verdict names what it rests on beside the command") {
  const std::string command = "vllm serve deepseek-ai/DeepSeek-V4-Flash -tp $TP";
  ProgramRun o = import({"--command", command + " --max-model-len $LEN"});
  CHECK(o.code == ExitCode::done);
  CHECK(o.out.find("# Fits if -tp is 1 and --max-model-len is left to the engine, which the text "
                   "does not say. Decoding") != std::string::npos);
  CHECK(o.out.find("tensor_parallel: 1              # -tp $TP is not known: vLLM's default") !=
        std::string::npos);
  o = import({"--command", command, "--json"});
  const boost::json::value doc = boost::json::parse(o.out);
  REQUIRE(doc.at("open_flags").as_array().size() == 1);
  CHECK(doc.at("open_flags").at(0).at("flag").as_string() == "-tp");
  CHECK(doc.at("open_flags").at(0).at("path").as_string() == "deployment.tensor_parallel");
  CHECK(doc.at("open_flags").at(0).at("assumed").as_string() == "1");
  o = import({"--command", command, "--hardware", "hgx-h100"});
  CHECK(o.code == ExitCode::failed);
  CHECK(o.out.find("Does not fit if -tp is 1, which the text does not say: ") != std::string::npos);
  o = import({"--command", command, "--set", "deployment.tensor_parallel=4"});
  CHECK(o.out.find("# Fits. Decoding") != std::string::npos);
}

TEST_CASE("no advice comes of a log's senseless figures") {
  TempDir dir;
  const std::string command = "vllm serve DeepSeek-V4-Flash -tp 4";
  for (const std::string figure : {"-3", "0.0", "99999999999999999", "1e9"}) {
    CAPTURE(figure);
    const std::string log =
        dir.write("server.log", "Available KV cache memory: " + figure + " GiB\n");
    const ProgramRun o = import({"--command", command, "--log", log});
    CHECK(o.code == ExitCode::bad_input);
    CHECK(o.err.find(log + ":1:28: kv_memory_gib: expected a number above 0 up to 65536") !=
          std::string::npos);
    CHECK(o.out.empty());
  }
}

TEST_CASE("vLLM does not start when one request of full length has no room") {
  const std::string command =
      "vllm serve DeepSeek-V4-Flash -tp 4 --kv-cache-memory-bytes 4294967296 --max-model-len ";
  const ProgramRun o = import({"--command", command + "1048576"});
  CHECK(o.code == ExitCode::failed);
  CHECK(o.out.find("vLLM does not start below one") != std::string::npos);
  CHECK(import({"--command", command + "16384 --max-num-batched-tokens 2048"}).code ==
        ExitCode::done);
}

TEST_CASE("request slots may leave nothing for tokens") {
  const std::string command =
      "sglang serve --model-path DeepSeek-V4-Pro --tp 8 --speculative-algorithm EAGLE "
      "--mem-fraction-static 0.66 --max-running-requests ";
  const ProgramRun o = import({"--command", command + "1024"});
  CHECK(o.code == ExitCode::failed);
  CHECK(o.out.find("1024 running requests reserve") != std::string::npos);
  CHECK(import({"--command", command + "16"}).code == ExitCode::done);
}

TEST_CASE("wrong use and wrong input end with 2") {
  CHECK(import({}).code == ExitCode::bad_input);
  CHECK(import({"run.sh", "--command", kFlash}).code == ExitCode::bad_input);
  CHECK(import({"/nowhere/run.sh"}).err.find("/nowhere/run.sh: expected a file") !=
        std::string::npos);
  const ProgramRun o = import({"--command", "vllm serve DeepSeek-V5"});
  CHECK(o.code == ExitCode::bad_input);
  CHECK(o.err.find("--command:1:12: unknown model") != std::string::npos);
}

}  // namespace
}  // namespace v4cap
