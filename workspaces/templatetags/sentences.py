"""What stands between two sentences or names of a template."""

from django import template
from django.template.defaultfilters import stringfilter

from workspaces import sentences

register = template.Library()
register.simple_tag(sentences.space, name="space")
register.filter("percent", sentences.percent)
register.filter("listed", sentences.listed)
register.filter("spaced", stringfilter(sentences.spaced), is_safe=True)
