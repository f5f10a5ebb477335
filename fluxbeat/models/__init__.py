"""The three model families on one base, their consensus, and classifiers of the Hub in a model's place."""
