"""The configuration: read once, at the edge, into frozen values.

`load` is the way in; `secrets` reads the key. Nothing else in the package reads files or
environment for settings, and this room decides nothing about an object.
"""

from dicomanon_node.config.loading import Config, load
from dicomanon_node.config.model import NodeConfig
from dicomanon_node.config.rulefiles import RuleBook

__all__ = ["Config", "NodeConfig", "RuleBook", "load"]
