package config

import (
	"fmt"

	"github.com/goccy/go-yaml"
)

// YAML shows every key of the configuration with its value, in the order of
// [Config]. Loading it, without an environment, gives the same configuration,
// except that a password in registry.url is not shown.
func (c *Config) YAML() ([]byte, error) {
	shown := *c
	shown.Registry.URL = redact(c.Registry.URL)
	text, err := yaml.MarshalWithOptions(&shown, yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("show configuration: %w", err)
	}
	return text, nil
}
