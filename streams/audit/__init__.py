"""The chain of decisions: verified (`verifier`, `chain`, `store`: pure), read (`auditor`), shown, erased from."""
