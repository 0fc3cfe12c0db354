"""Bleeds drawn into heads after their anatomy: lens, crescent, sulci, ventricles, blob."""
