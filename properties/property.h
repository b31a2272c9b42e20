#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "scenarios/recording.h"

namespace properties {

enum class Verdict { holds, undecided, violated };  // worst last

/// Everything a property may look at for one crash state.
struct Evidence {
  const scenarios::Recording& recording;
  const faultfs::CrashModel& model;
  const scenarios::Examination& seen;
};

/// A claim that was broken, said for a person: the first lines of a failure trace.
struct Violation {
  std::string property;
  std::string claim;     ///< the property's sentence
  std::string observed;  ///< "GET k7 -> hit, 64K: [0, 32K) from put#3, [32K, 64K) from put#5"
  std::string allowed;   ///< "miss | put#3 | put#5"
  scenarios::Key key = 0;
  std::string phase;  ///< during the run, after recovery, after reopen, after traffic, after last
                      ///< restart
};

struct Facts;

/// A claim about every correct cache.
class Property {
 public:
  virtual ~Property() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual std::string_view claim() const = 0;
  /// Appends what it finds; says `undecided` (with `why`) where the evidence does not allow a
  /// verdict. `facts` (facts.h) is the evidence, prepared once for all properties.
  [[nodiscard]] virtual Verdict judge(const Facts& facts,
                                      std::vector<Violation>& found,
                                      std::string& why) const = 0;

 protected:
  Property() = default;
  Property(const Property&) = delete;
  Property& operator=(const Property&) = delete;
};

/// In the order in which a person should read their violations: the most telling first.
[[nodiscard]] const std::vector<const Property*>& all_properties();
/// Null where there is none of that name.
[[nodiscard]] const Property* find_property(std::string_view name);

/// The properties a target claims: the table store × preset × device profile × what its faults do
/// (claims.cc).
[[nodiscard]] std::vector<const Property*> claimed(const scenarios::TargetConfig& config,
                                                   const faultfs::DeviceProfile& profile,
                                                   const scenarios::Faults& faults = {});

struct Judgement {
  Verdict verdict = Verdict::holds;
  std::vector<Violation> violations;
  std::vector<std::string> undecided;  ///< "recall_floor: …"
};

/// Judges `evidence` by `properties`; worst wins. For many crash states of one recording a `Judge`
/// (judge.h) does the same, and keeps what they share.
[[nodiscard]] Judgement judge(const Evidence& evidence,
                              const std::vector<const Property*>& properties);

}  // namespace properties
