// libyaml: the parser behind every configuration file of the lab.
#include <yaml.h>
