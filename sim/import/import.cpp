#include "sim/import/import.h"

#include <algorithm>
#include <cctype>

#include "sim/cache/layout.h"
#include "sim/cache/swa_policy.h"
#include "sim/cluster/run_scenario.h"
#include "sim/config/data_files.h"
#include "sim/config/engine_file.h"
#include "sim/config/model_file.h"
#include "sim/config/section.h"
#include "sim/config/value.h"
#include "sim/engine/scheduler.h"
#include "sim/import/checkpoints.h"

namespace v4cap {

namespace {

constexpr const char* kAssumedHardware = "hgx-b200";
constexpr const char* kLabel = "scenario";

struct Launch {
  std::string engine;
  std::unique_ptr<EngineDialect> dialect;
  std::vector<ShellWord> arguments;
  std::vector<VariableUse> variables;
  Place place;
  std::int64_t further = 0;  // launch commands after this one
};

bool looks_like_variable(const std::string& text) {
  const std::size_t equals = text.find('=');
  return equals != std::string::npos && equals > 0 &&
         std::all_of(
             text.begin(), text.begin() + static_cast<std::ptrdiff_t>(equals),
             [](unsigned char c) { return std::isupper(c) || std::isdigit(c) || c == '_'; });
}

// Variables that words before the server set: `env A=b`, `docker run -e A=b`.
void add_word_variables(const std::vector<ShellWord>& words, std::size_t end, Launch& launch) {
  for (std::size_t i = 0; i < end; ++i) {
    if (!looks_like_variable(words[i].text)) continue;
    const std::size_t equals = words[i].text.find('=');
    launch.variables.push_back(
        {words[i].text.substr(0, equals), words[i].text.substr(equals + 1), words[i].place});
  }
}

void add_assignments(const ShellCommand& command, Launch& launch) {
  for (const ShellAssignment& a : command.assignments) {
    launch.variables.push_back({a.name, a.value.text, a.value.place});
  }
}

// A later value replaces an earlier one.
void keep_last_variables(std::vector<VariableUse>& variables) {
  std::vector<VariableUse> out;
  for (const VariableUse& v : variables) {
    const auto same = std::ranges::find(out, v.name, &VariableUse::name);
    if (same == out.end()) {
      out.push_back(v);
    } else {
      *same = v;
    }
  }
  variables = std::move(out);
}

// "; did you mean 'vllm serve'?" where a command nearly starts a server.
std::string nearest_start(const std::vector<ShellCommand>& commands) {
  for (const ShellCommand& command : commands) {
    std::string called;
    for (std::size_t i = 0; i < std::min<std::size_t>(command.words.size(), 2); ++i) {
      called += (i == 0 ? "" : " ") + command.words[i].text;
      const std::string near = nearest_name(called, {"vllm serve", "sglang serve", "trtllm-serve"});
      if (!near.empty()) return "; did you mean '" + near + "'?";
    }
  }
  return "";
}

Launch find_launch(const SourceText& source) {
  const std::vector<ShellCommand> commands = read_shell(source.text, source.label);
  Launch launch;
  for (const ShellCommand& command : commands) {
    bool starts = false;
    for (const std::string& name : DialectRegistry::names()) {
      std::unique_ptr<EngineDialect> dialect = (*DialectRegistry::find(name))();
      const auto begin = dialect->arguments_begin(command.words);
      if (!begin) continue;
      starts = true;
      if (launch.dialect != nullptr) break;
      add_assignments(command, launch);
      add_word_variables(command.words, *begin, launch);
      launch.engine = name;
      launch.dialect = std::move(dialect);
      launch.place = command.words.front().place;
      launch.arguments.assign(command.words.begin() + static_cast<std::ptrdiff_t>(*begin),
                              command.words.end());
      starts = false;
      break;
    }
    if (starts) ++launch.further;
    if (launch.dialect == nullptr) add_assignments(command, launch);
  }
  if (launch.dialect == nullptr) {
    throw InputError(Place{source.label, 0, 0},
                     "expected a command that starts vLLM (vllm serve), SGLang (sglang serve, "
                     "python3 -m sglang.launch_server) or TensorRT-LLM (trtllm-serve)" +
                         nearest_start(commands));
  }
  keep_last_variables(launch.variables);
  return launch;
}

std::vector<VariableReport> report_variables(const Launch& launch) {
  constexpr std::string_view kPrefixes[] = {"VLLM_", "SGLANG_", "TRTLLM_", "TLLM_"};
  std::vector<VariableReport> out;
  for (const VariableUse& use : launch.variables) {
    const auto& known = launch.dialect->variables();
    const auto it = std::ranges::find(known, use.name, &EngineVariable::name);
    if (it != known.end()) {
      out.push_back({use, it->effect, std::string(it->note), true});
    } else if (std::ranges::any_of(kPrefixes, [&](auto p) { return use.name.starts_with(p); })) {
      out.push_back({use, FlagEffect::not_modelled, "", false});
    }
  }
  return out;
}

struct NamedModel {
  std::string text;  // as the command names it
  Checkpoint checkpoint;
  std::string reason;
  Place place;
};

// A model that the user names himself needs no checkpoint.
NamedModel given_model(const std::string& name) {
  find_data_file(DataKind::model, name, "", {"--model", 0, 0});
  return {name, {name, name, std::nullopt, std::nullopt}, "--model " + name, {}};
}

NamedModel find_model(const Launch& launch, const FlagUses& flags, const std::string& label) {
  const std::vector<Checkpoint> known = load_checkpoints();
  const FlagUse* flag = flags.find(launch.dialect->model_flag());
  const ShellWord* word = launch.dialect->positional_model(flags);
  if (flag == nullptr && word == nullptr) {
    throw InputError(launch.place.file.empty() ? Place{label, 0, 0} : launch.place,
                     "expected a model, as " + std::string(launch.dialect->model_flag()) +
                         " or as the first argument; v4cap import --model names one");
  }
  const std::string text = flag != nullptr ? flag->value : word->text;
  const Place place = flag != nullptr ? flag->value_place : word->place;
  if (const Checkpoint* found = find_checkpoint(known, text)) return {text, *found, text, place};
  // Containers often mount the weights as /model; then the name that is served tells.
  for (const char* name : {"--served-model-name", "--served_model_name"}) {
    const FlagUse* served = flags.find(name);
    const Checkpoint* found = served == nullptr ? nullptr : find_checkpoint(known, served->value);
    if (found != nullptr) return {text, *found, served->quoted(), place};
  }
  throw InputError(place, "unknown model " + shown(text) + checkpoint_suggestion(known, text) +
                              "; v4cap import --model names one of scenarios/models");
}

void draft_model(const NamedModel& model, ScenarioDraft& draft) {
  const Origin origin = model.place.file.empty() ? Origin::user : Origin::command;
  const Checkpoint& c = model.checkpoint;
  draft.set({"model", c.model, model.reason, origin, model.place});
  if (c.mtp_layers) {
    draft.set({"model.mtp_layers", std::to_string(*c.mtp_layers), "the draft in " + c.name, origin,
               model.place});
  }
  if (c.expert_bytes) {
    draft.set({"model.weights.expert_bytes", number_text(*c.expert_bytes), "experts of " + c.name,
               origin, model.place});
  }
}

void draft_workload(ScenarioDraft& draft) {
  draft.assume("workload.trace", "agents_small.jsonl.gz",
               "a bundled sample: the command says nothing about traffic", Origin::import);
  draft.assume("workload.arrivals.mode", "closed_loop", "", Origin::import);
  draft.assume("workload.arrivals.sessions_at_a_time", "16", "", Origin::import);
}

// `model` and `hardware` alone, to know what defaults depend on.
Scenario bare_scenario(const ScenarioDraft& draft, const ScenarioOptions& options) {
  ScenarioDraft bare;
  for (const DraftLine& line : draft.lines()) {
    const std::string top = line.path.substr(0, line.path.find('.'));
    if (top == "model" || top == "hardware") bare.set(line);
  }
  draft_workload(bare);
  ScenarioOptions few;
  for (const std::string& text : options.set) {
    if (text.starts_with("model") || text.starts_with("hardware")) few.set.push_back(text);
  }
  few.find_traces = false;
  return parse_scenario(bare.yaml({}), kLabel, few);
}

// Errors about the scenario, at the flags that its lines come from.
InputError placed(const InputError& error, const ScenarioDraft& draft) {
  std::vector<Diagnostic> out;
  for (Diagnostic d : error.diagnostics()) {
    const std::string path = d.message.substr(0, d.message.find(':'));
    const DraftLine* line = draft.find(path);
    if (line != nullptr && !line->place.file.empty()) {
      d.place = line->place;
      d.message = line->reason + ": " + d.message;
    } else if (line != nullptr && line->origin == Origin::user) {
      d.place = {line->reason, 0, 0};
    }
    out.push_back(std::move(d));
  }
  return InputError(std::move(out));
}

Scenario checked(const ScenarioDraft& draft, const std::string& yaml,
                 const ScenarioOptions& options) {
  try {
    Scenario scenario = parse_scenario(yaml, kLabel, options);
    validate_names(scenario, {SchedulerRegistry::names(), LayoutRegistry::names(),
                              PolicyRegistry::names(), RouterRegistry::names()});
    return scenario;
  } catch (const InputError& error) {
    throw placed(error, draft);
  }
}

std::string engine_version(const ImportRequest& request, const std::vector<LogFact>& log,
                           Origin& origin, std::string& reason) {
  if (!request.version.empty()) {
    origin = Origin::user;
    reason = "--engine-version";
    return request.version;
  }
  const auto stated = std::ranges::find(log, LogQuantity::version, &LogFact::quantity);
  if (stated == log.end()) return "";
  origin = Origin::log;
  reason = "line " + std::to_string(stated->place.line) + " of the log";
  // "0.26.0+cu129" and "0.26.0rc1" are 0.26.0.
  const std::size_t end = stated->text.find_first_not_of("0123456789.");
  return stated->text.substr(0, end);
}

void draft_version(const ImportRequest& request, const std::string& engine, ImportedLaunch& out) {
  Origin origin = Origin::engine;
  std::string reason;
  out.version = engine_version(request, out.log, origin, reason);
  const std::optional<EngineData> known = load_engine(engine, "");
  if (!known) return;  // its layout has no versions
  std::string version = out.version;
  if (version.empty()) {
    version = known->versions.back().release;
    origin = Origin::import;
    reason = "the newest that v4cap knows; --engine-version says another";
  }
  if (const std::string note = known->beyond(version); !note.empty()) reason += "; " + note;
  out.draft.assume("kv_cache.layout_version", yaml_scalar(version), reason, origin);
}

// TensorRT-LLM's share of what is left.
void settle_free_memory(const ScenarioOptions& options, ImportedLaunch& out) {
  const std::optional<double> fraction = out.draft.free_fraction();
  if (!fraction || out.draft.find("kv_cache.memory") != nullptr) return;
  ScenarioDraft whole = out.draft;
  whole.assume("kv_cache.memory_fraction", "1", "");
  const Scenario s = checked(whole, whole.yaml({}), options);
  const NodeMemory all = memory_of_gpu(s);
  const Bytes share{static_cast<std::int64_t>(*fraction * static_cast<double>(all.kv.value))};
  out.draft.set({"kv_cache.memory",
                 value_text<Bytes>(share),
                 number_text(*fraction) + " of the " + value_text<Bytes>(all.kv) +
                     " that weights and buffers leave (" + out.draft.free_reason() + ')',
                 Origin::engine,
                 {}});
}

bool has_compressed_layers(const ModelSpec& model) {
  return model.count(LayerKind::csa) + model.count(LayerKind::hca) > 0;
}

// The layouts of engines are those of V4's caches: another model is refused where it is named, not
// at a line of the scenario that nobody has written.
void check_model(const NamedModel& named, const ModelSpec& model, const std::string& engine) {
  if (has_compressed_layers(model)) return;
  std::string supported;
  for (const std::string& name : data_names(DataKind::model, "")) {
    if (!has_compressed_layers(load_model(name).spec)) continue;
    supported += (supported.empty() ? "" : ", ") + name;
  }
  throw InputError(named.place.file.empty() ? Place{"--model"} : named.place,
                   "expected a model with compressed layers (" + supported + "), got " +
                       shown(named.text) + ", which is " + model.name + ": layout " + engine +
                       " holds V4's caches only; a scenario with layout ideal takes other models");
}

// What the user overrides, so that the scenario that is printed has it too.
void draft_overrides(const ScenarioOptions& options, ScenarioDraft& draft) {
  for (const std::string& text : options.set) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) continue;  // refused when the scenario is read
    draft.set({text.substr(0, equals), text.substr(equals + 1), "--set", Origin::user, {}});
  }
}

// Words that are no flag, no value and not the model: most often lists that only the shell knows.
void leave_out_words(const FlagUses& flags, bool first_is_model, ScenarioDraft& draft) {
  for (std::size_t i = first_is_model ? 1 : 0; i < flags.positional.size(); ++i) {
    const ShellWord& word = flags.positional[i];
    if (!word.unresolved.empty()) draft.leave_open({word.text, "", "empty"});
    draft.leave_out({word.text,
                     word.unresolved.empty() ? "stands where no flag takes it"
                                             : "the text does not say what it is",
                     word.place});
  }
}

// The memory that the log states is better than our estimate of it, but takes the user's word: the
// log may be of another machine.
void offer_stated_memory(ImportedLaunch& out) {
  const auto stated = std::ranges::find(out.log, LogQuantity::kv_memory_gib, &LogFact::quantity);
  if (stated == out.log.end() || out.draft.find("kv_cache.memory") != nullptr) return;
  out.draft.note("--set kv_cache.memory=\"" + number_text(stated->low) +
                 " GiB\" takes the KV memory of the log in place of the estimate.");
}

std::vector<std::string> header(const ImportedLaunch& out) {
  return {"Imported from " + out.place.file + ':' + std::to_string(out.place.line) + ", " +
              out.engine + (out.version.empty() ? "" : ' ' + out.version) + " serving " +
              out.checkpoint + '.',
          "Beside each line stands what it comes from.", ""};
}

}  // namespace

ImportedLaunch import_launch(const ImportRequest& request) {
  Launch launch = find_launch(request.command);
  ImportedLaunch out;
  out.engine = launch.engine;
  out.place = launch.place;
  out.flags = launch.dialect->flags().read(launch.arguments);
  out.variables = report_variables(launch);
  if (request.log) {
    out.log = read_engine_log(request.log->text, request.log->label, launch.dialect->log_lines());
  }
  const NamedModel model = request.model.empty()
                               ? find_model(launch, out.flags, request.command.label)
                               : given_model(request.model);
  out.checkpoint = model.text;
  draft_model(model, out.draft);
  const bool assumed = request.hardware.empty();
  out.draft.assume("hardware", assumed ? kAssumedHardware : request.hardware,
                   assumed ? "no command says it; --hardware names another" : "--hardware",
                   assumed ? Origin::import : Origin::user);
  const Scenario bare = bare_scenario(out.draft, request.options);
  check_model(model, bare.model, launch.engine);
  launch.dialect->translate({out.flags, launch.variables, out.log, bare.model, bare.hardware,
                             bare.kv_cache.entry, request.command.dir},
                            out.draft);
  draft_version(request, launch.engine, out);
  draft_workload(out.draft);
  draft_overrides(request.options, out.draft);
  settle_free_memory(request.options, out);
  offer_stated_memory(out);
  leave_out_words(out.flags, out.flags.find(launch.dialect->model_flag()) == nullptr, out.draft);
  if (launch.further > 0) {
    out.draft.note(
        std::to_string(launch.further) + " further launch command" +
        (launch.further == 1 ? " in the text is not read." : "s in the text are not read."));
  }
  out.yaml = out.draft.yaml(header(out));
  out.scenario = checked(out.draft, out.yaml, request.options);
  return out;
}

}  // namespace v4cap
