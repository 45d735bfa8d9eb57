# Types of the names that __init__.py imports at their first use.
from whatwhere.api import fit as fit
from whatwhere.api import load as load
from whatwhere.errors import UserError as UserError
from whatwhere.fitted.model import FittedModel as FittedModel

__version__: str
