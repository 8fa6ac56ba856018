#include "sim/import/engine_log.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "sim/import/engine_dialect.h"

namespace v4cap {
namespace {

std::vector<LogFact> read(const char* engine, const std::string& text) {
  const auto dialect = (*DialectRegistry::find(engine))();
  return read_engine_log(text, "server.log", dialect->log_lines());
}

const LogFact& only(const std::vector<LogFact>& facts, LogQuantity quantity) {
  const std::string name(name_of(quantity));
  CAPTURE(name);
  REQUIRE(std::ranges::count(facts, quantity, &LogFact::quantity) == 1);
  return *std::ranges::find(facts, quantity, &LogFact::quantity);
}

TEST_CASE("SGLang's lines, whatever the ranks") {
  const auto facts = read(
      "sglang",
      "[2026-08-10 09:47:14 DP0 TP0 EP0] Load weight end. elapsed=93.30 s, avail mem=13.43 GB, "
      "mem usage=47.06 GB.\n"
      "[2026-08-10 09:47:20 DP1 TP1 EP1] Load weight end. elapsed=99.30 s, avail mem=13.48 GB, "
      "mem usage=47.16 GB.\n"
      "[2026-08-10 09:47:28 DP0 TP0 EP0] DSV4 memory calculation: bytes_per_full_token=7705.45, "
      "available_bytes=6.16 GB, c128_state_fixed=0.04 GB, full_token=852992\n"
      "[2026-08-10 09:47:28 DP1 TP1 EP1] DSV4 memory calculation: bytes_per_full_token=7705.45, "
      "available_bytes=6.16 GB, c128_state_fixed=0.04 GB, full_token=852992\n"
      "[2026-08-10 09:47:28 DP0 TP0 EP0] DSV4 pool sizes: full=852992, swa=85248, c4=213248, "
      "c128=6664, c4_state=5328, c128_state=0\n"
      "[2026-08-10 09:47:28 DP1 TP1 EP1] DSV4 pool sizes: full=852992, swa=85248, c4=213248, "
      "c128=6664, c4_state=5328, c128_state=0\n"
      "[2026-08-10 09:47:28 DP0 TP0 EP0] max_total_num_tokens=852992, chunked_prefill_size=4096, "
      "max_prefill_tokens=16384, max_running_requests=64, context_len=1048576, "
      "available_gpu_mem=8.16 GB\n");
  CHECK(only(facts, LogQuantity::weights_gib).low == 47.06);
  CHECK(only(facts, LogQuantity::weights_gib).high == 47.16);
  CHECK(only(facts, LogQuantity::weights_gib).ranks == 2);
  CHECK(only(facts, LogQuantity::weights_gib).place.line == 1);
  CHECK(only(facts, LogQuantity::bytes_per_full_token).low == 7705.45);
  CHECK(only(facts, LogQuantity::bytes_per_full_token).high == 7705.45);
  CHECK(only(facts, LogQuantity::kv_memory_gib).low == 6.16);
  CHECK(only(facts, LogQuantity::request_slot_gib).low == 0.04);
  CHECK(only(facts, LogQuantity::kv_cache_tokens).low == 852992);
  CHECK(only(facts, LogQuantity::swa_tokens).low == 85248);
  CHECK(only(facts, LogQuantity::c4_entries).low == 213248);
  CHECK(only(facts, LogQuantity::c128_entries).low == 6664);
  CHECK(only(facts, LogQuantity::c4_state_rows).low == 5328);
  CHECK(only(facts, LogQuantity::max_running).low == 64);
  CHECK(only(facts, LogQuantity::max_context_tokens).low == 1048576);
}

TEST_CASE("pools that are sized twice are stated twice, and the draft's weights are its own") {
  const auto facts = read(
      "sglang",
      "[DP0 TP0] DSv4 memory calculation: bytes_per_full_token=15955.85, available_bytes=19.58 GB\n"
      "[DP0 TP0] DSV4 pool sizes: full=852992, swa=85248, c4=213248, c128=6664, c4_state=5328\n"
      "[DP1 TP1] DSV4 pool sizes: full=852992, swa=85248, c4=213248, c128=6664, c4_state=5328\n"
      "[DP0 TP0] DSV4 pool sizes: full=32768, swa=3200, c4=8192, c128=256, c4_state=200\n"
      "[DP1 TP1] DSV4 pool sizes: full=32768, swa=3200, c4=8192, c128=256, c4_state=200\n"
      "[TP0] Load weight end. type=DeepseekV4ForCausalLM, avail mem=1 GB, mem usage=125.65 GB.\n"
      "[TP0] Load weight end. type=DeepseekV4ForCausalLMNextN, mem usage=3.07 GB.\n");
  std::vector<double> tokens;
  for (const LogFact& f : facts) {
    if (f.quantity == LogQuantity::kv_cache_tokens) tokens.push_back(f.low);
  }
  CHECK(tokens == std::vector<double>{852992, 32768});
  CHECK(only(facts, LogQuantity::kv_memory_gib).low == 19.58);
  CHECK(only(facts, LogQuantity::weights_gib).low == 125.65);
  CHECK(only(facts, LogQuantity::draft_weights_gib).low == 3.07);
}

TEST_CASE("vLLM's lines, with process names, colours and thousands separators") {
  const auto facts = read(
      "vllm",
      "(APIServer pid=1) INFO 08-07 21:32:22 [api_utils.py:339]   version 0.26.0+cu129\r\n"
      "\x1b[0;36m(Worker_TP0 pid=7)\x1b[0m INFO [gpu.py:1] Model loading took 75.62 GiB and 99 s\n"
      "(Worker_TP1 pid=8) INFO [gpu.py:1] Model loading took 75.62 GiB and 98 seconds\n"
      "(Worker_TP0 pid=7) INFO [gpu.py:2] Available KV cache memory: 7.01 GiB\n"
      "(EngineCore pid=5) INFO [kv.py:1693] GPU KV cache size: 1,009,661 tokens\n"
      "(EngineCore pid=5) INFO [kv.py:1698] Maximum concurrency for 912,128 tokens per request: "
      "1.11x\n"
      "INFO Asynchronous scheduling is disabled.\n");
  CHECK(only(facts, LogQuantity::version).text == "0.26.0+cu129");
  CHECK(only(facts, LogQuantity::weights_gib).low == 75.62);
  CHECK(only(facts, LogQuantity::weights_gib).ranks == 2);
  CHECK(only(facts, LogQuantity::kv_memory_gib).low == 7.01);
  CHECK(only(facts, LogQuantity::kv_cache_tokens).low == 1009661);
  CHECK(only(facts, LogQuantity::max_context_tokens).low == 912128);
  CHECK(only(facts, LogQuantity::max_concurrency).low == 1.11);
  CHECK(only(facts, LogQuantity::async_scheduling).low == 0);
}

TEST_CASE("TensorRT-LLM's lines") {
  const auto facts = read(
      "trtllm",
      "[TensorRT-LLM][INFO] Number of tokens per block: 128.\n"
      "[TensorRT-LLM][INFO] [MemUsageChange] Allocated 26.91 GiB for max tokens in paged KV cache "
      "(220480).\n"
      "[02/14/2026-09:38:53] [TRT-LLM] [I] max_seq_len=131072, max_num_requests=2048, "
      "max_num_tokens=8192\n");
  CHECK(only(facts, LogQuantity::kv_memory_gib).low == 26.91);
  CHECK(only(facts, LogQuantity::kv_cache_tokens).low == 220480);
  CHECK(only(facts, LogQuantity::max_running).low == 2048);
  CHECK(only(facts, LogQuantity::max_context_tokens).low == 131072);
}

TEST_CASE("a known line that cannot be read is an error with its place") {
  const auto error = [](const char* engine, const std::string& text) {
    try {
      read(engine, text);
    } catch (const InputError& e) {
      return to_string(e.diagnostics().front());
    }
    return std::string("nothing");
  };
  CHECK(error("vllm", "x\nGPU KV cache size: many tokens") ==
        "server.log:2:20: expected a number after \"GPU KV cache size: \", got \"many tokens\"");
  CHECK(error("sglang", "[TP0] DSV4 pool sizes: full=1") ==
        "server.log:1:9: expected \"swa=\" and a number in a line about \"V4 pool sizes: full=1\"");
  CHECK(error("vllm", "nothing of this is known") == "nothing");
}

TEST_CASE("figures that no machine has are refused with their place") {
  const auto error = [](const std::string& figure) {
    try {
      const auto facts = read("vllm", "Available KV cache memory: " + figure + " GiB");
      return number_text(facts.front().low);
    } catch (const InputError& e) {
      return to_string(e.diagnostics().front());
    }
  };
  const std::string range =
      "server.log:1:28: kv_memory_gib: expected a number above 0 up to 65536, got ";
  for (const std::string figure :
       {"-3", "0.0", "0", "99999999999999999", "1e9", "65537", "1e300"}) {
    CAPTURE(figure);
    CHECK(error(figure) == range + '"' + figure + '"');
  }
  CHECK(error("1e1") == "10");
  CHECK(error("1.5E+1") == "15");
  CHECK(error("65536") == "65536");
  CHECK(error("1e999").find("expected a number after") != std::string::npos);
  CHECK_THROWS_AS(read("sglang", "Memory profiling: mem_fraction_static=1.2"), InputError);
  CHECK_THROWS_AS(read("sglang", "Load weight end. mem usage=-1 GB"), InputError);
  CHECK_NOTHROW(read("sglang", "max_total_num_tokens=1, chunked_prefill_size=-1"));
}

}  // namespace
}  // namespace v4cap
