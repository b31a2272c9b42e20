// Faults, asked for from outside:
//
//   fault add EXPRESSION     puts a fault behind the others      ok f1 eio read nth=3
//   fault list               each, how often it met a request of its own, how often it did
//   something
//                            ok f1 on eio read nth=3: met 4, fired 1; f2 off lying-flush: met 0,
//                            fired 0
//   fault off N | all        it fires no more, and what it did to the disks is taken back
//   fault on N | all         it is there again, and so is what it did
//   fault release N          what waits because of it goes on
//   fault clear              all faults, and what they did, are gone
//   fault help               the catalogue
//
// The language of expressions is at the head of faults/expression.cc; which faults a tree has, at
// that of tree/tree_faults.cc. Nothing waits on a tree, so there is nothing to release.

#include "faultfs/control/fault_commands.h"

#include <fmt/format.h>

#include "faultfs/faults/catalogue.h"
#include "faultfs/faults/expression.h"
#include "faultfs/tree/tree_faults.h"

namespace faultfs::control {
namespace {

constexpr std::string_view allowed =
    "fault add EXPRESSION, fault list, fault off N, fault on N, fault release N, fault clear, "
    "fault help";

const std::vector<faults::FaultKind>& catalogue_of(const Device& /*device*/) {
  return faults::catalogue();
}
const std::vector<faults::FaultKind>& catalogue_of(const tree::Tree& /*tree*/) {
  return tree::TreeFaults::catalogue();
}
Result<faults::Expression> parse_for(const Device& /*device*/, std::string_view text) {
  return faults::parse_expression(text);
}
Result<faults::Expression> parse_for(const tree::Tree& /*tree*/, std::string_view text) {
  return tree::TreeFaults::parse(text);
}
Status release(Device& device, std::uint32_t number) {
  return device.release_fault(number);
}
Status release(tree::Tree& /*tree*/, std::uint32_t number) {
  return fail(fmt::format("fault {} holds nothing; allowed on a tree: fault off {}, fault on {}",
                          number,
                          number,
                          number));
}

template <typename Faulty>
Result<std::string> add(Faulty& device, std::string_view text) {
  const Result<faults::Expression> expression = parse_for(device, text);
  if (!expression) {
    return fail(expression.error().message);
  }
  const Result<std::uint32_t> number = device.add_fault(*expression);
  if (!number) {
    return fail(number.error().message);
  }
  return fmt::format("f{} {}", *number, faults::to_text(*expression, catalogue_of(device)));
}

template <typename Faulty>
Result<std::string> list(const Faulty& device) {
  std::string text;
  for (const FaultState& fault : device.faults()) {
    text += fmt::format("{}f{} {} {}: met {}, fired {}",
                        text.empty() ? "" : "; ",
                        fault.number,
                        fault.on ? "on" : "off",
                        fault.expression,
                        fault.matches,
                        fault.firings);
  }
  return text.empty() ? "no faults" : text;
}

std::string help(const std::vector<faults::FaultKind>& kinds) {
  std::string text;
  for (const faults::FaultKind& kind : kinds) {
    text += fmt::format("{}{}", text.empty() ? "" : "; ", kind.name);
    for (const faults::OwnWord& own : kind.own) {
      text += fmt::format(" {}={}", own.name, own.normal.empty() ? "…" : own.normal);
    }
    text += " (";
    for (const RequestKind request : kind.kinds) {
      text += (text.ends_with('(') ? "" : ", ") + std::string(faults::kind_name(request));
    }
    text += fmt::format("): {}", kind.summary);
  }
  return text;
}

template <typename Faulty>
Status for_one(Faulty& device, std::string_view verb, std::uint32_t number) {
  return verb == "release" ? release(device, number) : device.switch_fault(number, verb == "on");
}

template <typename Faulty>
Result<std::string> for_each(Faulty& device, std::string_view verb, std::string_view which) {
  if (which == "all" && verb != "release") {
    for (const FaultState& fault : device.faults()) {
      (void)for_one(device, verb, fault.number);
    }
    return std::string{};
  }
  const std::string_view digits = which.starts_with('f') ? which.substr(1) : which;
  const Result<std::uint64_t> number = parse_number(digits);
  if (!number || *number > device.faults().size()) {
    return fail(fmt::format(
        "there is no fault \"{}\"; allowed: fault {} N, N as in fault list", which, verb));
  }
  const Status done = for_one(device, verb, static_cast<std::uint32_t>(*number));
  return done ? Result<std::string>(std::string{}) : fail(done.error().message);
}

template <typename Faulty>
Result<std::string> command(Faulty& device, std::string_view rest) {
  const std::size_t end = std::min(rest.find_first_of(" \t"), rest.size());
  const std::string_view verb = rest.substr(0, end);
  const std::size_t begin = std::min(rest.find_first_not_of(" \t", end), rest.size());
  const std::string_view what = rest.substr(begin);
  if (verb == "add") {
    return add(device, what);
  }
  if (verb == "off" || verb == "on" || verb == "release") {
    return for_each(device, verb, what);
  }
  if (verb == "list" && what.empty()) {
    return list(device);
  }
  if (verb == "help" && what.empty()) {
    return help(catalogue_of(device));
  }
  if (verb == "clear" && what.empty()) {
    device.clear_faults();
    return std::string{};
  }
  return fail(fmt::format("'fault {}' is not known; allowed: {}", rest, allowed));
}

}  // namespace

Result<std::string> fault_command(Device& device, std::string_view rest) {
  return command(device, rest);
}

Result<std::string> fault_command(tree::Tree& tree, std::string_view rest) {
  return command(tree, rest);
}

}  // namespace faultfs::control
