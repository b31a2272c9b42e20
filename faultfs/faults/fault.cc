// What a fault does that has nothing to say to it: nothing.

#include "faultfs/faults/fault.h"

namespace faultfs::faults {

void Fault::attend(const Request& /*request*/, const Medium& /*medium*/, Deed& /*deed*/) {}

void Fault::before_change(const Request& /*request*/, const Medium& /*medium*/) {}

void Fault::returned(const Request& /*request*/,
                     const Medium& /*medium*/,
                     MutableByteView /*bytes*/) {}

void Fault::power_on() {}

void Fault::release() {}

}  // namespace faultfs::faults
