#include "runtime/vdev_spec.hpp"

#include "runtime/capture_probe.hpp"
#include "runtime/eal_arguments.hpp"

namespace flowloom {

namespace {

constexpr std::string_view kVdevOption = "--vdev";
constexpr std::string_view kVdevAssigned = "--vdev=";
constexpr std::string_view kCaptureKey = "rx_pcap";

std::string format_vdev(const VdevSpec& vdev) {
  std::string text = vdev.name;
  for (const auto& [key, value] : vdev.options) {
    text += ',' + key;
    if (!value.empty()) text += '=' + value;
  }
  return text;
}

// Calls `visit(text)` with each vdev's text and `copy(argument)` with every other argument.
template <class Visit, class Copy>
void for_each_argument(const std::vector<std::string>& arguments, Visit visit, Copy copy) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == kVdevOption && i + 1 < arguments.size()) {
      visit(std::string_view{arguments[++i]});
    } else if (argument.starts_with(kVdevAssigned)) {
      visit(argument.substr(kVdevAssigned.size()));
    } else {
      copy(arguments[i]);
    }
  }
}

// Takes the files out that cannot be read; true while anything to read is left.
bool keep_readable_files(VdevSpec& vdev, std::vector<InputProblem>& problems) {
  bool named_any = false;
  bool left_any = false;
  std::vector<std::pair<std::string, std::string>> kept;
  for (auto& option : vdev.options) {
    if (option.first == kCaptureKey) {
      named_any = true;
      const CaptureProbe probe = probe_capture(option.second);
      if (!probe.problem.empty()) {
        const std::string name = option.second.empty() ? "rx_pcap=" : option.second;
        problems.push_back({ProblemSeverity::Unreadable, name + ": " + probe.problem});
        continue;
      }
      left_any = true;
    }
    kept.push_back(std::move(option));
  }
  vdev.options = std::move(kept);
  return left_any || !named_any;
}

}  // namespace

std::vector<std::string> VdevSpec::values(std::string_view key) const {
  std::vector<std::string> found;
  for (const auto& option : options) {
    if (option.first == key) found.push_back(option.second);
  }
  return found;
}

bool VdevSpec::enabled(std::string_view key) const {
  const std::vector<std::string> found = values(key);
  return !found.empty() && found.back() != "0";
}

VdevSpec parse_vdev(std::string_view text) {
  VdevSpec vdev;
  std::size_t comma = text.find(',');
  vdev.name = text.substr(0, comma);
  while (comma != std::string_view::npos) {
    text.remove_prefix(comma + 1);
    comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    const bool assigned = equals != std::string_view::npos;
    vdev.options.emplace_back(part.substr(0, equals),
                              assigned ? part.substr(equals + 1) : std::string_view{});
  }
  return vdev;
}

std::vector<VdevSpec> find_vdevs(const std::vector<std::string>& arguments) {
  std::vector<VdevSpec> vdevs;
  for_each_argument(
      arguments, [&](std::string_view text) { vdevs.push_back(parse_vdev(text)); },
      [](const std::string&) {});
  return vdevs;
}

CheckedArguments check_vdev_files(const std::vector<std::string>& arguments) {
  CheckedArguments checked;
  for_each_argument(
      arguments,
      [&](std::string_view text) {
        VdevSpec vdev = parse_vdev(text);
        if (vdev.is_pcap() && !keep_readable_files(vdev, checked.problems)) return;
        checked.arguments.emplace_back(kVdevOption);
        checked.arguments.push_back(format_vdev(vdev));
      },
      [&](const std::string& other) { checked.arguments.push_back(other); });
  checked.nothing_left = !checked.problems.empty() && !has_option(checked.arguments, "--vdev") &&
                         !has_option(checked.arguments, "-a") &&
                         !has_option(checked.arguments, "--allow");
  return checked;
}

}  // namespace flowloom
