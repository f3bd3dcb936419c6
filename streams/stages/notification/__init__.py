"""Telling people: escalations delivered to the channels of a hospital, without patient data."""
