package config

import (
	"fmt"

	"github.com/goccy/go-yaml"
)

// YAML shows every key of the configuration with its value, in the order of
// [Config]. Loading it, without an environment, gives the same configuration.
func (c *Config) YAML() ([]byte, error) {
	text, err := yaml.MarshalWithOptions(c, yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("show configuration: %w", err)
	}
	return text, nil
}
