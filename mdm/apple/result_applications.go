package apple

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"sallyport/mdm"
)

// installedItem is one entry of InstalledApplicationList
// (https://developer.apple.com/documentation/devicemanagement/installedapplicationlistresponse).
type installedItem struct {
	Identifier string `plist:"Identifier"`
	Name       string `plist:"Name"`
	Version    string `plist:"Version"`
}

// managedItem is what ManagedApplicationList says of one identifier
// (https://developer.apple.com/documentation/devicemanagement/managedapplicationlistresponse).
type managedItem struct {
	Status string `plist:"Status"`
}

func applicationFacts(items []installedItem, now time.Time) (*mdm.ApplicationFacts, error) {
	if err := count("InstalledApplicationList", len(items)); err != nil {
		return nil, err
	}
	facts := &mdm.ApplicationFacts{At: now, Items: make([]mdm.ApplicationOnFile, len(items))}
	for i, item := range items {
		if err := identifier(fmt.Sprintf("InstalledApplicationList[%d].Identifier", i), item.Identifier); err != nil {
			return nil, err
		}
		facts.Items[i] = mdm.ApplicationOnFile{Identifier: item.Identifier, Name: text(item.Name), Version: text(item.Version)}
	}
	return facts, nil
}

// managedFacts are in the order of the identifiers: a dictionary has none.
func managedFacts(items map[string]managedItem, now time.Time) (*mdm.ManagedFacts, error) {
	if err := count("ManagedApplicationList", len(items)); err != nil {
		return nil, err
	}
	facts := &mdm.ManagedFacts{At: now, Items: make([]mdm.ManagedApplication, 0, len(items))}
	for _, name := range slices.Sorted(maps.Keys(items)) {
		if err := identifier("ManagedApplicationList", name); err != nil {
			return nil, err
		}
		facts.Items = append(facts.Items, mdm.ManagedApplication{Identifier: name, Status: text(items[name].Status)})
	}
	return facts, nil
}
