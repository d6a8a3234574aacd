from django.urls import path
from shop import views

urlpatterns = [path("", views.home), path("search", views.search), path("sign-in", views.sign_in), path("preview", views.preview)]
