#include "sim/cost/operators.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sim/model/parameters.h"
#include "tests/models.h"

namespace v4cap {
namespace {

const std::string kModels[] = {"deepseek-v4-pro", "deepseek-v4-flash", "deepseek-v3.2",
                               "deepseek-v3", "gqa-70b"};

StepPlan prefill(std::int64_t past, std::int64_t tokens, bool emits = true) {
  StepPlan plan;
  plan.pieces.push_back({.kind = PieceKind::prefill,
                         .emits_token = emits,
                         .past = Tokens{past},
                         .tokens = Tokens{tokens}});
  return plan;
}

StepPlan decode(std::int64_t context, int batch = 1) {
  StepPlan plan;
  for (int i = 0; i < batch; ++i) {
    plan.pieces.push_back({.kind = PieceKind::decode,
                           .emits_token = true,
                           .past = Tokens{context - 1},
                           .tokens = Tokens{1}});
  }
  return plan;
}

const Operator* find(const OperatorList& list, std::string_view name) {
  const auto it =
      std::find_if(list.begin(), list.end(), [&](const Operator& op) { return op.name == name; });
  return it == list.end() ? nullptr : &*it;
}

double total(const OperatorList& list, double (*of)(const Operator&)) {
  double sum = 0;
  for (const Operator& op : list) sum += kernels::real(op.count) * of(op);
  return sum;
}

// Two ways to the same answer: a chunk long enough to touch every expert reads every weight of the
// rank but the embedding once, so operators and parameters must agree for every model and width.
TEST_CASE("a long chunk reads the weights that the rank has loaded") {
  for (const std::string& name : kModels) {
    for (const std::int64_t width : {1, 2, 8}) {
      CAPTURE(name);
      CAPTURE(width);
      const StepSetting setting = known_setting(name, width);
      const StepPlan plan = prefill(0, 65536);
      const double embedding_row_reads = 65536.0 * 2 * kernels::real(setting.model.hidden);
      const double read = total(StepOperators(setting).list(plan),
                                [](const Operator& op) { return op.work.weight_bytes; }) -
                          embedding_row_reads;
      const PartParameters embedding = parameters_of(setting.model)[WeightPart::embedding];
      const double loaded = kernels::real(weight_bytes_of_rank(setting.model, width).value) -
                            embedding.total * embedding.bytes_per_weight / kernels::real(width);
      CHECK(read == doctest::Approx(loaded).epsilon(1e-4));
    }
  }
}

// A token with no context to speak of multiplies each active weight once.
TEST_CASE("FLOPs of a token are twice the active parameters") {
  for (const std::string& name : kModels) {
    CAPTURE(name);
    const StepSetting setting = known_setting(name, 1);
    const double flops = total(StepOperators(setting).list(decode(1)),
                               [](const Operator& op) { return op.work.flops(); });
    const double active = parameters_of(setting.model).active();
    CHECK(flops == doctest::Approx(2 * active).epsilon(0.005));
  }
}

TEST_CASE("a decode touches the experts it chose, not all of them") {
  const StepOperators pro(known_setting("deepseek-v4-pro", 8));
  const double one = find(pro.list(decode(1000)), "experts")->work.weight_bytes;
  const double expert = 3.0 * 7168 * 3072 * 17 / 32;
  CHECK(one == doctest::Approx(6.0 / 8 * expert).epsilon(1e-9));
  const double sixteen = find(pro.list(decode(1000, 16)), "experts")->work.weight_bytes;
  CHECK(sixteen > 14 * one);
  CHECK(sixteen < 16 * one);
}

TEST_CASE("tensor parallelism divides heads and experts, repeats cache reads and the indexer") {
  const StepPlan plan = decode(1 << 17, 4);
  const OperatorList one = StepOperators(known_setting("deepseek-v4-pro", 1)).list(plan);
  const OperatorList eight = StepOperators(known_setting("deepseek-v4-pro", 8)).list(plan);
  for (const std::string name : {"linear q_b", "linear o_a", "linear o_b", "experts"}) {
    CAPTURE(name);
    CHECK(find(one, name)->work.flops() == doctest::Approx(8 * find(eight, name)->work.flops()));
  }
  // Core attention runs 64 heads at once: 128 are two such products, 16 take one alone.
  for (const std::string name : {"attention_csa", "attention_hca"}) {
    CAPTURE(name);
    CHECK(find(one, name)->work.flops() == 2 * find(eight, name)->work.flops());
    CHECK(find(one, name)->work.activation_bytes == 8 * find(eight, name)->work.activation_bytes);
  }
  for (const std::string name :
       {"linear q_a kv", "compressor_csa", "compressor_hca", "indexer_query", "indexer_scores",
        "topk", "router", "mlp shared expert", "mhc_pre"}) {
    CAPTURE(name);
    CHECK(find(one, name)->work.flops() == find(eight, name)->work.flops());
    CHECK(find(one, name)->work.bytes() == find(eight, name)->work.bytes());
  }
  CHECK(find(one, "attention_csa")->work.cache_read_bytes ==
        find(eight, "attention_csa")->work.cache_read_bytes);
  CHECK(find(one, "all_reduce") == nullptr);
  REQUIRE(find(eight, "all_reduce") != nullptr);
  CHECK(find(eight, "all_reduce")->count == 2 * 61);
  CHECK(find(eight, "all_reduce")->link_bytes == 4 * 2 * 7168 * 2 * 7.0 / 8);
}

StepSetting ranks_setting(std::int64_t ranks, std::int64_t expert_parallel,
                          ExpertImbalance imbalance = {{}}) {
  StepSetting setting = known_setting("deepseek-v4-pro", 1);
  setting.data_parallel = ranks;
  setting.expert_parallel = expert_parallel;
  setting.imbalance = std::move(imbalance);
  return setting;
}

TEST_CASE("a rank's list and the joint list make the list of a single rank") {
  for (const std::int64_t width : {1, 8}) {
    CAPTURE(width);
    const StepOperators one(known_setting("deepseek-v4-pro", width));
    const StepPlan plan = decode(5000, 7);
    const RankTokens tokens = rank_tokens(plan);
    CHECK(tokens.tokens == 7);
    OperatorList parts = one.rank_list(plan);
    for (const Operator& op : one.joint_list(std::span(&tokens, 1))) parts.push_back(op);
    const OperatorList whole = one.list(plan);
    REQUIRE(parts.size() == whole.size());
    for (const Operator& op : whole) {
      CAPTURE(std::string(op.name));
      const Operator* same = find(parts, op.name);
      REQUIRE(same != nullptr);
      CHECK(same->count == op.count);
      CHECK(same->work.flops() == op.work.flops());
      CHECK(same->work.bytes() == op.work.bytes());
      CHECK(same->link_bytes == op.link_bytes);
    }
  }
}

TEST_CASE(
    "ranks share experts: spread ones by dispatch and combine, cut ones by gather and scatter") {
  const RankTokens tokens[] = {{100}, {0}, {20}, {40}};
  const OperatorList spread = StepOperators(ranks_setting(4, 4)).joint_list(tokens);
  const OperatorList cut = StepOperators(ranks_setting(4, 1)).joint_list(tokens);
  CHECK(spread.size() == 3);
  CHECK(cut.size() == 3);
  for (const OperatorList& list : {spread, cut}) {
    // 160 tokens with 6 experts each on 4 GPUs.
    CHECK(find(list, "experts")->work.flops() ==
          doctest::Approx(160 * 6 / 4.0 * 2 * 3 * 7168 * 3072));
    CHECK(find(list, "experts")->count == 61);
  }
  CHECK(find(spread, "experts")->work.weight_bytes ==
        doctest::Approx(find(cut, "experts")->work.weight_bytes));
  // The rank with 100 tokens sends 6 x 3/4 rows of each.
  CHECK(find(spread, "expert_dispatch")->link_bytes == 100 * 4.5 * 7168 * 33 / 32);
  CHECK(find(spread, "expert_combine")->link_bytes == 100 * 4.5 * 7168 * 2);
  CHECK(find(cut, "all_gather")->link_bytes == 160 * 2.0 * 7168 * 3 / 4);
  CHECK(find(cut, "reduce_scatter")->link_bytes == 160 * 2.0 * 7168 * 3 / 4);
  const OperatorList own = StepOperators(ranks_setting(4, 4)).rank_list(decode(5000, 3));
  CHECK(find(own, "experts") == nullptr);
  CHECK(find(own, "all_reduce") == nullptr);
  REQUIRE(find(own, "mlp shared expert") != nullptr);
  REQUIRE(find(own, "router") != nullptr);
}

TEST_CASE("ranks of several GPUs sum once a layer by themselves") {
  StepSetting setting = ranks_setting(4, 8);
  setting.tensor_parallel = 2;
  const StepOperators pro(setting);
  CHECK(find(pro.rank_list(decode(5000, 3)), "all_reduce")->count == 61);
  const RankTokens tokens[] = {{100}, {0}, {20}, {40}};
  // Two GPUs divide the 100 tokens; 6 x 7/8 rows of each leave.
  CHECK(find(pro.joint_list(tokens), "expert_dispatch")->link_bytes == 50 * 5.25 * 7168 * 33 / 32);
}

TEST_CASE("bins of expert imbalance are operators of their own, by their share of the steps") {
  const RankTokens tokens[] = {{1000}, {1000}};
  const OperatorList list =
      StepOperators(ranks_setting(2, 2, {{1, 0.75}, {1.5, 0.25}})).joint_list(tokens);
  REQUIRE(list.size() == 6);
  const double even = list[1].work.flops();
  CHECK(list[1].name == "experts");
  CHECK(list[1].share == 0.75);
  CHECK(list[4].name == "experts");
  CHECK(list[4].share == 0.25);
  CHECK(list[4].work.flops() == doctest::Approx(1.5 * even));
  CHECK(list[4].launches() == 61 * 0.25);
}

StepPlan verify(std::int64_t past, std::int64_t rows, int batch = 1) {
  StepPlan plan;
  for (int i = 0; i < batch; ++i) {
    plan.pieces.push_back({.kind = PieceKind::decode,
                           .emits_token = true,
                           .past = Tokens{past},
                           .tokens = Tokens{rows}});
  }
  return plan;
}

TEST_CASE("a draft layer runs on the rows of the step, then on one row of each sequence") {
  StepSetting setting = known_setting("deepseek-v4-pro", 8);
  const OperatorList plain = StepOperators(setting).list(verify(5000, 4, 3));
  setting.draft_steps = 3;
  const OperatorList list = StepOperators(setting).list(verify(5000, 4, 3));
  const auto all = [&](std::string_view name) {
    std::vector<const Operator*> out;
    for (const Operator& op : list) {
      if (op.name == name) out.push_back(&op);
    }
    return out;
  };
  // The model's own operators are those of a step without a draft layer.
  for (std::size_t i = 0; i < plain.size(); ++i) {
    CHECK(list[i].name == plain[i].name);
    CHECK(list[i].work.flops() == plain[i].work.flops());
  }
  for (std::size_t i = plain.size(); i < list.size(); ++i) {
    CAPTURE(std::string(list[i].name));
    CHECK(list[i].name.substr(0, 4) == "mtp ");
  }
  for (const std::string name : {"mtp linear q_b", "mtp attention_window", "mtp experts",
                                 "mtp router", "mtp linear embedding", "mtp head"}) {
    CAPTURE(name);
    const auto passes = all(name);
    REQUIRE(passes.size() == 2);
    CHECK(passes[0]->count == 1);
    CHECK(passes[1]->count == 2);
  }
  // 12 rows, then 3; the second projection sees all four residual streams.
  CHECK(all("mtp linear embedding")[0]->work.flops() == 12 * 2.0 * 7168 * 7168);
  CHECK(all("mtp linear embedding")[1]->work.flops() == 3 * 2.0 * 7168 * 7168);
  CHECK(all("mtp linear hidden")[0]->work.flops() == 48 * 2.0 * 7168 * 7168);
  CHECK(all("mtp head")[0]->work.flops() == 12 * 2.0 * 7168 * 16160);
  CHECK(all("mtp head")[1]->work.flops() == 3 * 2.0 * 7168 * 16160);
  CHECK(all("mtp attention_csa").empty());
  CHECK(all("mtp mhc_pre")[0]->count == 2);
  // A prompt's rows pass through it once: its later passes need their entries.
  const OperatorList filling = StepOperators(setting).list(prefill(0, 4096, false));
  CHECK(find(filling, "mtp attention_window")->count == 1);
  CHECK(find(filling, "mtp head") == nullptr);
}

TEST_CASE("a draft layer's experts see the tokens of all ranks") {
  StepSetting setting = ranks_setting(2, 2);
  setting.draft_steps = 2;
  const StepPlan plan = verify(5000, 3, 10);
  const RankTokens of_plan = rank_tokens(plan);
  CHECK(of_plan.tokens == 30);
  CHECK(of_plan.sequences == 10);
  const RankTokens tokens[] = {of_plan, {100, 0}};
  const OperatorList list = StepOperators(setting).joint_list(tokens);
  std::vector<double> flops;
  for (const Operator& op : list) {
    if (op.name == "mtp experts") flops.push_back(op.work.flops());
  }
  REQUIRE(flops.size() == 2);
  CHECK(flops[0] == doctest::Approx(130 * 6 / 2.0 * 6 * 7168 * 3072));
  CHECK(flops[1] == doctest::Approx(10 * 6 / 2.0 * 6 * 7168 * 3072));
  CHECK(find(list, "mtp expert_dispatch")->count == 1);
}

TEST_CASE("a decode that verifies drafts asks for logits of every row and reads entries once") {
  const StepOperators pro(known_setting("deepseek-v4-pro", 8));
  const OperatorList one = pro.list(decode(65536, 1)), four = pro.list(verify(65535, 4));
  CHECK(find(four, "head")->work.flops() == 4 * find(one, "head")->work.flops());
  CHECK(find(four, "attention_hca")->work.flops() ==
        doctest::Approx(4 * find(one, "attention_hca")->work.flops()).epsilon(0.01));
  CHECK(find(four, "attention_hca")->work.cache_read_bytes <
        1.1 * find(one, "attention_hca")->work.cache_read_bytes);
  // V3 decodes absorbed whatever it verifies.
  const OperatorList v3 = StepOperators(known_setting("deepseek-v3", 8)).list(verify(4096, 4));
  CHECK(find(v3, "attention_mla absorbed") != nullptr);
  CHECK(find(v3, "attention_mla expanded") == nullptr);
}

TEST_CASE("operators run as often as their layers") {
  const OperatorList pro = StepOperators(known_setting("deepseek-v4-pro", 8)).list(decode(5000));
  CHECK(find(pro, "attention_csa")->count == 30);
  CHECK(find(pro, "attention_hca")->count == 31);
  CHECK(find(pro, "attention_window") == nullptr);
  CHECK(find(pro, "mhc_pre")->count == 122);
  CHECK(find(pro, "experts")->count == 61);
  CHECK(find(pro, "mlp dense") == nullptr);
  const OperatorList flash =
      StepOperators(known_setting("deepseek-v4-flash", 8)).list(decode(5000));
  CHECK(find(flash, "attention_window")->count == 2);
  const OperatorList v32 = StepOperators(known_setting("deepseek-v3.2", 8)).list(decode(5000));
  CHECK(find(v32, "attention_dsa")->count == 61);
  CHECK(find(v32, "indexer_scores")->count == 61);
  CHECK(find(v32, "experts")->count == 58);
  CHECK(find(v32, "mlp dense")->count == 3);
  CHECK(find(v32, "mhc_pre") == nullptr);
  const OperatorList gqa = StepOperators(known_setting("gqa-70b", 8)).list(decode(5000));
  CHECK(find(gqa, "attention_gqa")->count == 80);
  CHECK(find(gqa, "router") == nullptr);
  CHECK(find(gqa, "attention_gqa")->work.cache_read_bytes == 5000 * 512);
}

TEST_CASE("V3 decodes absorbed and prefills expanded") {
  const StepOperators v3(known_setting("deepseek-v3", 8));
  const OperatorList decoding = v3.list(decode(4096));
  CHECK(find(decoding, "attention_mla absorbed") != nullptr);
  CHECK(find(decoding, "attention_mla expanded") == nullptr);
  CHECK(find(decoding, "linear expand kv") == nullptr);
  const OperatorList filling = v3.list(prefill(1000, 500));
  CHECK(find(filling, "attention_mla absorbed") == nullptr);
  REQUIRE(find(filling, "linear expand kv") != nullptr);
  CHECK(find(filling, "linear expand kv")->work.flops() == 2.0 * 1500 * 512 * 16 * 256);
  CHECK(find(filling, "linear expand kv")->work.cache_read_bytes == 1500 * 576);
}

TEST_CASE("the head runs for rows that emit a token, and for no others") {
  const StepOperators pro(known_setting("deepseek-v4-pro", 8));
  CHECK(find(pro.list(prefill(0, 4096, false)), "head") == nullptr);
  CHECK(find(pro.list(prefill(0, 4096, true)), "head")->work.flops() == 2.0 * 7168 * 16160);
  CHECK(find(pro.list(decode(100, 3)), "head")->work.flops() == 3 * 2.0 * 7168 * 16160);
}

TEST_CASE("rebuild costs what prefill costs, less the compressed entries it does not write") {
  const StepOperators pro(known_setting("deepseek-v4-pro", 8));
  StepPlan plan = prefill(20000, 7808, false);
  const OperatorList filled = pro.list(plan);
  plan.pieces[0].kind = PieceKind::rebuild;
  const OperatorList rebuilt = pro.list(plan);
  REQUIRE(filled.size() == rebuilt.size());
  for (std::size_t i = 0; i < filled.size(); ++i) {
    CAPTURE(filled[i].name);
    const bool compressor = filled[i].name.substr(0, 10) == "compressor";
    if (compressor) {
      CHECK(rebuilt[i].work.cache_write_bytes == 0);
      CHECK(filled[i].work.cache_write_bytes > 0);
    } else {
      CHECK(rebuilt[i].work.flops() == filled[i].work.flops());
      CHECK(rebuilt[i].work.bytes() == filled[i].work.bytes());
    }
  }
}

TEST_CASE("FP4 indexer keys make scores FP4 products over half the bytes") {
  const StepPlan plan = decode(1 << 20);
  const auto fp8 = StepOperators(known_setting("deepseek-v4-pro", 8)).list(plan);
  const auto fp4 =
      StepOperators(known_setting("deepseek-v4-pro", 8, IndexerFormat::fp4)).list(plan);
  CHECK(find(fp8, "indexer_scores")->work.flops_fp8 == find(fp4, "indexer_scores")->work.flops_fp4);
  CHECK(find(fp4, "indexer_scores")->work.flops_fp8 == 0);
  CHECK(find(fp8, "indexer_scores")->work.cache_read_bytes == (1 << 18) * 132);
  CHECK(find(fp4, "indexer_scores")->work.cache_read_bytes == (1 << 18) * 68);
}

TEST_CASE("copies of kept points are read once and written once") {
  StepPlan plan = decode(1000);
  plan.copies.points_written = Bytes{7'000'000};
  plan.copies.points_read = Bytes{1'000'000};
  const OperatorList list = StepOperators(known_setting("deepseek-v4-pro", 8)).list(plan);
  REQUIRE(find(list, "copy kept points") != nullptr);
  CHECK(find(list, "copy kept points")->work.bytes() == 16'000'000);
}

}  // namespace
}  // namespace v4cap
