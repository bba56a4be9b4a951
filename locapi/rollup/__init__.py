"""Fold raw fixes into exact minutes, and prune, verify and erase them."""
