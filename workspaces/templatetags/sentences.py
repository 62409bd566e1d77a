"""What stands between two sentences of a template."""

from django import template

from workspaces import sentences

register = template.Library()
register.simple_tag(sentences.space, name="space")
